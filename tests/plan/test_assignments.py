"""What each pod is told to hold."""

from dataclasses import replace
from typing import Any

from tests.build.golden_manifests import workload
from tests.plan.fleet import digest
from tests.plan.test_observed import pod, report
from tunefleet.api.names import engine_name
from tunefleet.engine.adapters_api import AdapterState, DesiredAdapter
from tunefleet.plan.assignments import assigned, fits, orders
from tunefleet.plan.facts import Key
from tunefleet.plan.holdings import Holding, Need
from tunefleet.plan.observed import ObservedRevision
from tunefleet.plan.revision import RevisionParameters
from tunefleet.plan.served_names import Seniority


def holding(name: str, need: Need = Need.ACTIVE, base: int = 1, version: int = 1, **desired: Any) -> Holding:
    fields = {"uri": f"s3://adapters/{name}", "digest": digest(name), "rank": 8, **desired}
    wanted = DesiredAdapter(engine_name=engine_name(name, version, digest(name)), **fields)
    return Holding(Key("ml", name), Seniority("2026", "ml", name, "LoRAAdapter"), version, base, need, wanted)


def parameters(**more: Any) -> RevisionParameters:
    return workload(**more).parameters


def names(desired: tuple[DesiredAdapter, ...]) -> list[str]:
    return [d.engine_name.partition("@")[0] for d in desired]


def test_only_what_the_engines_can_take_is_assigned() -> None:
    held = [holding("right"), holding("other-base", base=2), holding("wide", rank=32), holding("far", uri="pvc://c/x")]
    assert names(assigned(parameters(), held)) == ["right"]
    assert fits(parameters(claims=("c",)), held[3])


def test_what_is_needed_most_goes_first_and_cpus_keep_a_slot_empty() -> None:
    held = [
        holding("warm", Need.WARM),
        holding("new", Need.ACTIVE),
        holding("left", Need.LEAVING),
        holding("z-serving", Need.SERVING),
        holding("a-serving", Need.SERVING),
    ]
    assert names(assigned(parameters(slots=5), held)) == ["a-serving", "z-serving", "left", "new"]
    assert len(assigned(parameters(slots=5, resource_name="nvidia.com/gpu"), held)) == 5


def revision(state: AdapterState | None) -> ObservedRevision:
    return ObservedRevision("r", "u", {}, parameters(), "Serving", "", (pod(report(state)),))


def test_an_order_goes_out_only_where_the_report_differs() -> None:
    held = replace(holding("german"), desired=DesiredAdapter(
        engine_name="german@v1-01234567", uri="s3://a/b", digest=f"sha256:{'0' * 64}", rank=8
    ))  # fmt: skip
    assert list(orders(revision(AdapterState.LOADED), [held])) == []
    assert list(orders(revision(AdapterState.FAILED), [held])) == []
    assert list(orders(revision(None), [held])) == [(Key("ml", "p"), (held.desired,))]
    assert list(orders(revision(AdapterState.LOADED), [])) == [(Key("ml", "p"), ())]


def test_what_is_being_unloaded_is_not_held() -> None:
    """It is on its way out already; wanted again, it has to be ordered again."""
    held = replace(holding("german"), desired=DesiredAdapter(
        engine_name="german@v1-01234567", uri="s3://a/b", digest=f"sha256:{'0' * 64}", rank=8
    ))  # fmt: skip
    assert list(orders(revision(AdapterState.DRAINING), [])) == []
    assert list(orders(revision(AdapterState.DRAINING), [held])) == [(Key("ml", "p"), (held.desired,))]


def test_an_agent_that_does_not_answer_is_told_nothing() -> None:
    silent = replace(revision(None), pods=(pod(None),))
    assert list(orders(silent, [holding("german")])) == []
