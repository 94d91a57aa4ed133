"""What counts as a pod that answers."""

from typing import Any

import pytest

from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, DesiredAdapter, EngineReport
from tunefleet.plan.assignments import settled
from tunefleet.plan.facts import Key
from tunefleet.plan.observed import EnginePod, ObservedRevision
from tunefleet.plan.pods import Pod

NAME = "german@v1-01234567"
READY = [{"type": "Ready", "status": "True"}]
DESIRED = DesiredAdapter(engine_name=NAME, uri="s3://a/b", digest=f"sha256:{'0' * 64}", rank=8)


def report(state: AdapterState | None = None, *, engine_ready: bool = True) -> AdaptersReport:
    adapters = [AdapterReport(engine_name=NAME, uri="s3://a/b", digest=DESIRED.digest, state=state)] if state else []
    engine = EngineReport(name="tiny@v1-01234567", ready=engine_ready, slots=8, max_rank=16)
    return AdaptersReport(etag="e", engine=engine, adapters=tuple(adapters))


def pod(heard: AdaptersReport | None = None, *, phase: str = "Running", ready: bool = True, **meta: Any) -> EnginePod:
    status = {"phase": phase, "conditions": READY if ready else []}
    return EnginePod(Pod(Key("ml", "p"), {"metadata": {"name": "p", **meta}, "status": status}), heard)


def test_ready_means_alive_ready_and_not_contradicted_by_its_agent() -> None:
    assert pod(report()).ready
    assert pod(None).ready, "an agent that was not heard yet contradicts nothing"
    assert not pod(report(engine_ready=False)).ready
    assert not pod(report(), ready=False).ready


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_ended_or_are_going_count_for_nothing(phase: str) -> None:
    assert not pod(report(), phase=phase).ready
    assert not pod(report(), deletionTimestamp="2026-11-21T12:00:00Z").ready


def test_only_a_loaded_adapter_on_a_ready_pod_is_held() -> None:
    assert pod(report(AdapterState.LOADED)).holds(NAME)
    assert not pod(report(AdapterState.LOADED), ready=False).holds(NAME)
    assert not pod(report(AdapterState.LOADING)).holds(NAME)
    assert not pod(report(AdapterState.DRAINING)).holds(NAME)
    assert not pod(report()).holds(NAME)


def test_a_pod_has_settled_when_each_adapter_is_loaded_or_failed() -> None:
    assert settled(pod(report(AdapterState.LOADED)), [DESIRED])
    assert settled(pod(report(AdapterState.FAILED)), [DESIRED])
    assert not settled(pod(report(AdapterState.LOADING)), [DESIRED])
    assert not settled(pod(report()), [DESIRED])
    assert not settled(pod(None), [])


def test_the_replicas_of_a_revision_are_those_that_it_asks_for() -> None:
    revision = ObservedRevision("r", "u", {"spec": {"replicas": 3}}, None, "Warm", "", ())
    assert revision.replicas == 3
