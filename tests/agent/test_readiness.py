"""When a pod may take traffic."""

import pytest

from tunefleet.agent.readiness import Readiness
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, EngineReport

A, B = "a@v1-00000000", "b@v1-00000000"


def report(ready: bool = True, starts: int = 1, **states: AdapterState) -> AdaptersReport:
    names = {"a": A, "b": B}
    adapters = (
        AdapterReport(engine_name=names[key], uri="pvc://x/y", digest="sha256:0", state=state)
        for key, state in states.items()
    )
    engine = EngineReport(name="base@v1-00000000", ready=ready, starts=starts, slots=8, max_rank=16)
    return AdaptersReport(etag="x-1", engine=engine, adapters=tuple(adapters))


def test_an_engine_that_does_not_answer_is_not_ready() -> None:
    assert not Readiness(lambda: ()).ready(report(ready=False))


def test_nothing_desired_is_nothing_to_wait_for() -> None:
    assert Readiness(lambda: ()).ready(report())


@pytest.mark.parametrize("state", [AdapterState.LOADED, AdapterState.FAILED])
def test_settled_adapters_are_not_waited_for(state: AdapterState) -> None:
    assert Readiness(lambda: (A,)).ready(report(a=state))


@pytest.mark.parametrize("state", [AdapterState.FETCHING, AdapterState.VERIFYING, AdapterState.LOADING])
def test_what_was_desired_when_the_engine_came_up_is_waited_for(state: AdapterState) -> None:
    readiness = Readiness(lambda: (A,))
    assert not readiness.ready(report(a=state))
    assert readiness.ready(report(a=AdapterState.LOADED))


def test_what_is_desired_later_takes_no_readiness_away() -> None:
    desired = [A]
    readiness = Readiness(lambda: desired)
    assert readiness.ready(report(a=AdapterState.LOADED))
    desired.append(B)
    assert readiness.ready(report(a=AdapterState.LOADED, b=AdapterState.FETCHING))


def test_what_is_no_longer_desired_is_not_waited_for() -> None:
    desired = [A]
    readiness = Readiness(lambda: desired)
    assert not readiness.ready(report(a=AdapterState.FETCHING))
    desired.clear()
    assert readiness.ready(report())


def test_another_engine_start_is_waited_for_anew() -> None:
    readiness = Readiness(lambda: (A,))
    assert readiness.ready(report(a=AdapterState.LOADED))
    assert not readiness.ready(report(starts=2, a=AdapterState.LOADING))
    assert readiness.ready(report(starts=2, a=AdapterState.LOADED))
