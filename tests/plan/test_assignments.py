"""What each pod is told to hold."""

from dataclasses import replace
from typing import Any

from tests.build.golden_manifests import workload
from tests.plan.fleet import digest
from tests.plan.test_observed import pod, report
from tunefleet.api.names import engine_name
from tunefleet.engine.adapters_api import AdapterState, DesiredAdapter
from tunefleet.plan.assignments import assigned, carrying, fits, orders
from tunefleet.plan.facts import Key
from tunefleet.plan.holdings import Holding, Need
from tunefleet.plan.observed import ObservedRevision
from tunefleet.plan.revision import RevisionParameters
from tunefleet.plan.served_names import Seniority

POD = Key("ml", "p")


def holding(name: str, need: Need = Need.ACTIVE, base: int = 1, version: int = 1, **desired: Any) -> Holding:
    fields = {"uri": f"s3://adapters/{name}", "digest": digest(name), "rank": 8, **desired}
    wanted = DesiredAdapter(engine_name=engine_name(name, version, digest(name)), **fields)
    return Holding(Key("ml", name), Seniority("2026", "ml", name, "LoRAAdapter"), version, base, need, wanted)


def parameters(**more: Any) -> RevisionParameters:
    return workload(**more).parameters


def revision(state: AdapterState | None = None, **more: Any) -> ObservedRevision:
    return ObservedRevision("r", "u", {}, parameters(**more), "Serving", "", (pod(report(state)),))


def names(desired: tuple[DesiredAdapter, ...]) -> list[str]:
    return [d.engine_name.partition("@")[0] for d in desired]


def reported() -> Holding:
    """What `report` says that the pod has."""
    return replace(holding("german"), desired=DesiredAdapter(
        engine_name="german@v1-01234567", uri="s3://a/b", digest=f"sha256:{'0' * 64}", rank=8
    ))  # fmt: skip


def ordered(observed: ObservedRevision, *held: Holding) -> list[tuple[Key, tuple[DesiredAdapter, ...]]]:
    return list(orders(observed, assigned(observed, held, {})))


def test_only_what_the_engines_can_take_is_assigned() -> None:
    held = [holding("right"), holding("other-base", base=2), holding("wide", rank=32), holding("far", uri="pvc://c/x")]
    assert names(assigned(revision(), held, {})[POD]) == ["right"]
    assert fits(parameters(claims=("c",)), held[3])
    assert carrying(revision(), held, {}) == {held[0].desired.engine_name: {POD}}


def test_what_is_needed_most_goes_first_and_cpus_keep_a_slot_empty() -> None:
    held = [
        holding("warm", Need.WARM),
        holding("new", Need.ACTIVE),
        holding("z-serving", Need.SERVING),
        holding("a-serving", Need.SERVING),
    ]
    assert names(assigned(revision(slots=4), held, {})[POD]) == ["a-serving", "z-serving", "new"]
    assert len(assigned(revision(slots=4, resource_name="nvidia.com/gpu"), held, {})[POD]) == 4


def test_a_revision_of_another_operator_is_told_nothing() -> None:
    foreign = replace(revision(), parameters=None)
    assert ordered(foreign, holding("german")) == []
    assert carrying(foreign, [holding("german")], {}) == {}


def test_an_order_goes_out_only_where_the_report_differs() -> None:
    held = reported()
    assert ordered(revision(AdapterState.LOADED), held) == []
    assert ordered(revision(AdapterState.FAILED), held) == []
    assert ordered(revision(None), held) == [(POD, (held.desired,))]
    assert ordered(revision(AdapterState.LOADED)) == [(POD, ())]


def test_what_is_being_unloaded_is_not_held() -> None:
    """It is on its way out already; wanted again, it has to be ordered again."""
    held = reported()
    assert ordered(revision(AdapterState.DRAINING)) == []
    assert ordered(revision(AdapterState.DRAINING), held) == [(POD, (held.desired,))]


def test_an_agent_that_does_not_answer_is_told_nothing_and_may_hold_everything() -> None:
    silent = replace(revision(slots=2), pods=(pod(None),))
    held = [holding("german"), holding("pirate")]
    assert ordered(silent, *held) == []
    assert carrying(silent, held, {}) == {h.desired.engine_name: {POD} for h in held}
