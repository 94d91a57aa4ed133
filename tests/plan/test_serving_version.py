"""When the served name moves."""

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tunefleet.engine.adapters_api import AdapterState
from tunefleet.plan.facts import ObjectRef

GERMAN = ObjectRef("LoRAAdapter", "ml", "german")


def cluster_with(replicas: int, ranks: tuple[int, int, int] = (8, 8, 8)) -> Cluster:
    files = {f"s3://adapters/german/{n}": adapter_files(f"german {n}", rank=r) for n, r in enumerate(ranks, 1)}
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1"), **files})
    versions = [adapter_version("german", n) for n in (1, 2, 3)]
    cluster.add(base_model(), lora_adapter("german", versions), endpoint(replicas=replicas))
    cluster.settle()
    return cluster


def engine_name(cluster: Cluster, version: int) -> str:
    states = (name for process in cluster.processes.values() for name in process.states)
    return next(name for name in states if name.startswith(f"german@v{version}-"))


def test_it_waits_for_every_engine_that_answers() -> None:
    cluster = cluster_with(replicas=2)
    cluster.activate("german", 2)
    cluster.reconcile()
    slow = cluster.processes[cluster.engine_pods()[1]]
    cluster.advance()
    name = engine_name(cluster, 2)
    slow.states[name] = AdapterState.FETCHING
    cluster.execute(cluster.plan(GERMAN))
    assert cluster.adapter("german").status.serving_version == 1
    assert "is loaded on 1 of 2 engine pods" in cluster.adapter("german").status.conditions[0].message
    slow.states[name] = AdapterState.LOADED
    cluster.execute(cluster.plan(GERMAN))
    assert cluster.adapter("german").status.serving_version == 2


def test_the_first_engine_is_enough_when_nobody_answers() -> None:
    cluster = cluster_with(replicas=2)
    cluster.activate("german", 2)
    cluster.reconcile()
    cluster.advance()
    first, second = (cluster.processes[key] for key in cluster.engine_pods())
    old, new = engine_name(cluster, 1), engine_name(cluster, 2)
    first.states[old] = second.states[old] = second.states[new] = AdapterState.FETCHING
    cluster.execute(cluster.plan(GERMAN))
    assert cluster.adapter("german").status.serving_version == 2
    assert cluster.adapter("german").status.loaded.ready == 1


def test_an_engine_that_cannot_take_it_keeps_the_former_version_serving() -> None:
    cluster = cluster_with(replicas=2)
    cluster.activate("german", 2)
    cluster.reconcile()
    cluster.advance()
    name = engine_name(cluster, 2)
    cluster.processes[cluster.engine_pods()[1]].states[name] = AdapterState.FAILED
    cluster.execute(cluster.plan(GERMAN))
    status = cluster.adapter("german").status
    assert status.serving_version == 1
    assert [(c.type.value, c.status, c.reason.value) for c in status.conditions] == [
        ("Ready", "True", "Serving"),
        ("Stalled", "True", "LoadFailed"),
    ]


def test_events_tell_of_every_move_once() -> None:
    cluster = cluster_with(replicas=1)
    cluster.activate("german", 3)
    cluster.settle()
    cluster.activate("german", 2)
    cluster.settle_for(600)
    moves = [e.message for e in cluster.events if e.message.startswith(("Promoted", "RolledBack"))]
    assert moves == [
        "Promoted: version 1 answers",
        "Promoted: version 3 answers, before: version 1",
        "RolledBack: version 2 answers, before: version 3",
    ]


def test_more_warm_versions_on_request() -> None:
    cluster = cluster_with(replicas=1)
    adapter = cluster.adapter("german")
    cluster.add(adapter.model_copy(update={"spec": adapter.spec.model_copy(update={"keep_warm": 2})}))
    for version in (2, 3):
        cluster.activate("german", version)
        cluster.settle_for(60)
    (process,) = cluster.processes.values()
    assert sorted(name[:9] for name in process.states) == ["german@v1", "german@v2", "german@v3"]


def test_a_version_that_left_traffic_is_unloaded_after_a_while() -> None:
    cluster = cluster_with(replicas=1)
    adapter = cluster.adapter("german")
    cluster.add(adapter.model_copy(update={"spec": adapter.spec.model_copy(update={"keep_warm": 0})}))
    cluster.activate("german", 2)
    cluster.settle()
    (process,) = cluster.processes.values()
    assert sorted(name[:9] for name in process.states) == ["german@v1", "german@v2"]
    cluster.settle_for(40)
    assert [name[:9] for name in process.states] == ["german@v2"]


def test_a_renamed_adapter_is_answered_under_the_old_engine_name_until_the_new_one_is_loaded() -> None:
    cluster = cluster_with(replicas=1)
    former = cluster.adapter("german").status.traffic[0].engine_name
    adapter = cluster.adapter("german")
    cluster.add(adapter.model_copy(update={"spec": adapter.spec.model_copy(update={"served_model_name": "deutsch"})}))
    cluster.reconcile()
    assert cluster.adapter("german").status.traffic[0].engine_name == former
    assert cluster.holders(former)
    cluster.settle()
    assert cluster.adapter("german").status.traffic[0].engine_name.startswith("deutsch@v1-")


def test_an_endpoint_that_cannot_hold_a_version_does_not_keep_another_from_answering() -> None:
    cluster = cluster_with(replicas=1, ranks=(8, 16, 8))
    cluster.add(endpoint("narrow", adapters={"maxRank": 8}))
    cluster.settle()
    assert cluster.adapter("german").status.loaded.ready == 2
    cluster.activate("german", 2)
    cluster.settle()
    status = cluster.adapter("german").status
    assert status.serving_version == 2
    assert (status.loaded.ready, status.loaded.desired) == (1, 1)
    assert [(c.type.value, c.status) for c in status.conditions] == [("Ready", "True")]
