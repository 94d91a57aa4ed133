"""From three objects to answers, and back by one patch, in the simulated cluster."""

from tests.plan.fleet import adapter_files, adapter_version, base_files, base_model, endpoint, lora_adapter, standing
from tests.plan.simulation import Cluster
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.plan.facts import Key


def small_fleet() -> Cluster:
    """One base, two adapters (one with two versions), one endpoint; nothing decided yet."""
    cluster = Cluster(
        files={
            "s3://models/tiny/1": base_files("base 1"),
            "s3://models/tiny/2": base_files("base 2"),
            "s3://adapters/german/1": adapter_files("german 1"),
            "s3://adapters/german/2": adapter_files("german 2"),
            "s3://adapters/pirate/1": adapter_files("pirate 1", rank=16),
        }
    )
    german = [adapter_version("german", 1), adapter_version("german", 2)]
    cluster.add(base_model(versions=(1, 2)), lora_adapter("german", german), lora_adapter("pirate"), endpoint())
    return cluster


def leaving() -> InferenceEndpoint:
    """It may move to a base version that adapters are not pinned to."""
    return endpoint(rollout={"allowOrphans": True})


def test_three_objects_become_a_serving_fleet() -> None:
    cluster = small_fleet()
    cluster.settle()
    assert standing(cluster.base().status.conditions) == {"Ready": ("True", "Accepted")}
    assert standing(cluster.endpoint().status.conditions) == {"Ready": ("True", "Serving")}
    for name in ("german", "pirate"):
        status = cluster.adapter(name).status
        assert standing(status.conditions) == {"Ready": ("True", "Serving")}
        assert status.serving_version == 1
        assert cluster.holders(status.traffic[0].engine_name)
        assert (status.loaded.ready, status.loaded.desired) == (1, 1)
    assert [(t.from_version, t.to_version, t.cause) for t in cluster.adapter("german").status.history] == [
        (None, 1, "Promoted")
    ]


def test_a_steady_state_plans_nothing() -> None:
    cluster = small_fleet()
    cluster.settle_for(120)
    before = cluster.writes
    cluster.settle_for(600)
    assert cluster.writes == before
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


def test_a_new_leader_that_has_heard_no_agent_yet_plans_nothing() -> None:
    cluster = small_fleet()
    cluster.settle_for(60)
    cluster.deaf = True
    cluster.inspections.clear()
    assert all(cluster.plan(ref).empty for ref in cluster.refs())


def test_promotion_and_rollback_move_the_name_and_keep_the_former_version_loaded() -> None:
    cluster = small_fleet()
    cluster.settle()
    first = cluster.adapter("german").status.traffic[0].engine_name
    cluster.activate("german", 2)
    cluster.settle_for(300)
    second = cluster.adapter("german").status.traffic[0].engine_name
    assert second != first
    assert cluster.holders(first), "keepWarm is 1"
    cluster.activate("german", 1)
    cluster.reconcile()
    status = cluster.adapter("german").status
    assert status.traffic[0].engine_name == first, "one decision after the patch, without any load"
    assert [t.cause for t in status.history] == ["Promoted", "Promoted", "RolledBack"]


def test_a_base_version_moves_forth_and_back_with_the_former_pods_kept() -> None:
    cluster = small_fleet()
    cluster.add(lora_adapter("german", [adapter_version("german", 1)], keepWarm=1), lora_adapter("pirate"), leaving())
    cluster.settle()
    cluster.serve_base(2)
    cluster.settle()
    states = {r.base_model_version: r.state for r in cluster.endpoint().status.revisions}
    assert states == {1: "Warm", 2: "Serving"}
    german = cluster.adapter("german").status
    assert cluster.holders(german.traffic[0].engine_name), "its base version's pods are still there"
    cluster.serve_base(1)
    cluster.reconcile()
    states = {r.base_model_version: r.state for r in cluster.endpoint().status.revisions}
    assert states == {1: "Serving", 2: "Warm"}


def test_a_former_revision_goes_when_nothing_needs_it() -> None:
    cluster = small_fleet()
    cluster.add(
        lora_adapter("german", [adapter_version("german", 1), adapter_version("german", 2, base=2)]),
        lora_adapter("pirate", labels={}),
    )
    del cluster.adapters[Key("ml", "pirate")]
    cluster.settle()
    cluster.serve_base(2)
    cluster.activate("german", 2)
    cluster.settle()
    assert cluster.adapter("german").status.serving_version == 2
    assert len(cluster.engine_pods()) == 2
    cluster.settle_for(360)
    assert [r.state for r in cluster.endpoint().status.revisions] == ["Serving"]
    assert len(cluster.engine_pods()) == 1


def test_an_adapter_pinned_to_the_former_base_version_keeps_its_pods() -> None:
    cluster = small_fleet()
    cluster.add(leaving())
    cluster.settle()
    cluster.serve_base(2)
    cluster.settle_for(900)
    assert {r.state for r in cluster.endpoint().status.revisions} == {"Serving", "Warm"}
    for name in ("german", "pirate"):
        assert cluster.holders(cluster.adapter(name).status.traffic[0].engine_name)
    assert "stays for german, pirate" in cluster.endpoint().status.conditions[0].message


def test_a_warm_revision_keeps_its_pods_and_gets_no_more() -> None:
    cluster = small_fleet()
    cluster.add(leaving())
    cluster.settle()
    cluster.serve_base(2)
    cluster.settle()
    cluster.scale(3)
    cluster.settle()
    assert {r.state: r.replicas for r in cluster.endpoint().status.revisions} == {"Warm": 1, "Serving": 3}
    cluster.serve_base(1)
    cluster.settle()
    assert {r.state: r.replicas for r in cluster.endpoint().status.revisions} == {"Warm": 3, "Serving": 3}


def test_scaling_to_zero_and_back() -> None:
    cluster = small_fleet()
    cluster.settle()
    cluster.scale(0)
    cluster.settle()
    assert standing(cluster.endpoint().status.conditions) == {"Ready": ("True", "ScaledToZero")}
    assert cluster.engine_pods() == []
    cluster.scale(2)
    cluster.settle()
    assert standing(cluster.endpoint().status.conditions) == {"Ready": ("True", "Serving")}
    assert cluster.adapter("german").status.loaded.ready == 2


def test_an_adapter_says_what_keeps_its_endpoint_from_coming_up() -> None:
    cluster = small_fleet()
    cluster.nodes_are_full = True
    cluster.settle_for(200)
    message = cluster.adapter("german").status.conditions[0].message
    assert message == "version 1 waits for engine pods of chat (Unschedulable)"
