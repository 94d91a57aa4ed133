"""An endpoint with fewer slots on each pod than adapters: they share its pods."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter, standing
from tests.plan.simulation import Cluster
from tunefleet.build.decide import decide
from tunefleet.engine.adapters_api import AdaptersReport, DesiredAdapter
from tunefleet.plan.facts import Key, ObjectRef

NAMES = tuple(f"a{n}" for n in range(5))


@pytest.fixture
def cluster() -> Cluster:
    """Five adapters on three pods with two slots each (and one that stays empty, on CPU)."""
    files = {f"s3://adapters/{name}/{n}": adapter_files(f"{name} {n}") for name in NAMES for n in (1, 2, 3)}
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1"), **files})
    adapters = [lora_adapter(name, [adapter_version(name, n) for n in (1, 2, 3)], keepWarm=0) for name in NAMES]
    cluster.add(base_model(), *adapters, endpoint(replicas=3, adapters={"slots": 3}))
    cluster.settle()
    return cluster


def holders(cluster: Cluster, name: str) -> int:
    return len(cluster.holders(cluster.adapter(name).status.traffic[0].engine_name))


def assert_all_answer(cluster: Cluster) -> None:
    for name in NAMES:
        status = cluster.adapter(name).status
        assert standing(status.conditions) == {"Ready": ("True", "Serving")}, name
        assert holders(cluster, name) == status.loaded.ready == status.loaded.desired >= 1
    assert all(len(process.desired or ()) == 2 for process in cluster.processes.values())
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


def test_every_adapter_answers_and_says_on_how_many_pods(cluster: Cluster) -> None:
    assert_all_answer(cluster)
    assert sum(holders(cluster, name) for name in NAMES) == 6


def test_what_a_lost_pod_held_comes_back_without_a_hand(cluster: Cluster) -> None:
    lost, *others = cluster.engine_pods()
    before = {key: set(cluster.processes[key].states) for key in others}
    cluster.kill_pod(lost)
    cluster.settle()
    assert_all_answer(cluster)
    moved = sum(len(set(cluster.processes[key].states) - names) for key, names in before.items())
    assert moved <= 2, "no more than it held"


def test_a_lost_pod_s_adapters_do_not_wait_for_its_successor(cluster: Cluster) -> None:
    cluster.scale(4)
    cluster.settle()
    cluster.kill_pod(cluster.engine_pods()[0])
    cluster.nodes_are_full = True
    cluster.settle()
    assert [name for name in NAMES if not holders(cluster, name)] == []


def test_a_new_pod_takes_its_share_before_it_is_ready_and_nothing_else_moves(cluster: Cluster) -> None:
    before = {key: set(process.states) for key, process in cluster.processes.items()}
    cluster.scale(4)
    cluster.settle()
    assert {key: set(cluster.processes[key].states) for key in before} == before
    assert_all_answer(cluster)


def test_a_promotion_moves_when_all_pods_that_shall_hold_it_do(cluster: Cluster) -> None:
    cluster.activate("a3", 2)
    cluster.settle_for(120)
    assert cluster.adapter("a3").status.serving_version == 2
    assert_all_answer(cluster)


def test_going_back_too(cluster: Cluster) -> None:
    cluster.activate("a3", 2)
    cluster.settle_for(120)
    cluster.activate("a3", 1)
    cluster.settle_for(120)
    assert [t.cause for t in cluster.adapter("a3").status.history] == ["Promoted", "Promoted", "RolledBack"]
    assert_all_answer(cluster)


def test_a_new_leader_that_has_heard_no_agent_or_only_some_takes_nothing_away(cluster: Cluster) -> None:
    cluster.deaf = True
    assert all(cluster.plan(ref).empty for ref in cluster.refs())
    cluster.deaf = False
    facts = cluster.facts()
    heard = dict(list(facts.reports.items())[:1])
    orders = {key: {d.engine_name for d in held} for key, held in partly(cluster, heard).items()}
    assert all(set(cluster.processes[key].states) <= names for key, names in orders.items())


def partly(cluster: Cluster, heard: Mapping[Key, AdaptersReport]) -> Mapping[Key, tuple[DesiredAdapter, ...]]:
    """What is ordered while only these agents have been heard."""
    facts = replace(cluster.facts(), reports=heard)
    return decide(facts, ObjectRef("InferenceEndpoint", "ml", "chat"), cluster.now).assignments


def test_more_adapters_than_slots_leave_out_the_youngest_and_say_so(cluster: Cluster) -> None:
    cluster.scale(2)
    cluster.settle_for(60)
    stalled = [n for n in NAMES if "Stalled" in standing(cluster.adapter(n).status.conditions)]
    assert len(stalled) == 1
    status = cluster.adapter(stalled[0]).status
    assert standing(status.conditions)["Stalled"] == ("True", "NoFreeSlot")
    assert "every adapter slot is taken (chat has 3)" in status.conditions[0].message
    cluster.scale(3)
    cluster.settle_for(60)
    assert_all_answer(cluster)
