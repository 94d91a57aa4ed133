"""Which revision an endpoint asks for, and what never makes a new one."""

from typing import Any

from tests.plan.fleet import (
    ARCHITECTURE,
    adapter_files,
    adapter_version,
    base_files,
    base_model,
    endpoint,
    lora_adapter,
)
from tests.plan.simulation import Cluster
from tunefleet.plan.facts import Node
from tunefleet.plan.parallelism import MEMORY_LABEL, PRODUCT_LABEL


def cluster_of(adapters: int = 1, **spec: Any) -> Cluster:
    files = {"s3://models/tiny/1": base_files("base 1")}
    names = [f"a{n}" for n in range(adapters)]
    files.update({f"s3://adapters/{name}/1": adapter_files(name) for name in names})
    cluster = Cluster(files=files)
    cluster.add(base_model(), *(lora_adapter(name) for name in names), endpoint(**spec))
    cluster.settle()
    return cluster


def revisions(cluster: Cluster) -> list[str]:
    return [r.name for r in cluster.endpoint().status.revisions]


def change(cluster: Cluster, **spec: Any) -> None:
    """Patch the endpoint's spec, running to the end."""
    former = cluster.endpoint().spec.dump()
    cluster.add(endpoint(**{**{k: v for k, v in former.items() if k != "model"}, **spec}))
    cluster.settle()


def test_replicas_are_no_part_of_a_revision() -> None:
    cluster = cluster_of()
    before = revisions(cluster)
    change(cluster, replicas=3)
    assert revisions(cluster) == before


def test_engine_settings_are() -> None:
    cluster = cluster_of()
    before = revisions(cluster)
    change(cluster, engine={"maxModelLength": 1024})
    assert revisions(cluster)[0] == before[0]
    assert len(revisions(cluster)) == 2
    change(cluster, engine={})
    assert [r.name for r in cluster.endpoint().status.revisions if r.state == "Serving"] == before


def test_where_weights_are_kept_is_too() -> None:
    cluster = cluster_of()
    before = revisions(cluster)
    change(cluster, modelCache={"claimName": "weights"})
    assert len(revisions(cluster)) == 2
    assert cluster.endpoint().status.history[-1].changes == ("modelCache.claimName: none -> weights",)
    change(cluster, modelCache=None)
    assert [r.name for r in cluster.endpoint().status.revisions if r.state == "Serving"] == before


def test_writing_down_what_auto_chose_makes_no_new_revision() -> None:
    cluster = cluster_of()
    before = revisions(cluster)
    plan = cluster.endpoint().status.plan
    assert plan is not None
    change(cluster, adapters={"slots": plan.slots, "maxRank": plan.max_rank})
    assert revisions(cluster) == before


def test_auto_grows_when_an_adapter_needs_more_rank_and_never_shrinks() -> None:
    cluster = cluster_of()
    cluster.files["s3://adapters/wide/1"] = adapter_files("wide", rank=48)
    cluster.add(lora_adapter("wide"))
    cluster.settle_for(400)
    plan = cluster.endpoint().status.plan
    assert plan is not None
    assert plan.max_rank == 64
    assert cluster.adapter("wide").status.serving_version == 1
    cluster.adapters = {key: a for key, a in cluster.adapters.items() if key.name != "wide"}
    grown = revisions(cluster)
    cluster.settle_for(400)
    assert revisions(cluster) == grown


def test_auto_slots_leave_room_for_warm_versions_and_for_the_empty_slot_of_cpus() -> None:
    plan = cluster_of(adapters=6).endpoint().status.plan
    assert plan is not None
    assert plan.slots == 16, "six adapters with one warm version each, one promotion, one empty slot: 14"


def test_a_few_more_adapters_need_no_new_revision() -> None:
    cluster = cluster_of(adapters=3)
    before = revisions(cluster)
    for name in ("b1", "b2"):
        cluster.files[f"s3://adapters/{name}/1"] = adapter_files(name)
        cluster.add(lora_adapter(name))
    cluster.settle()
    assert revisions(cluster) == before
    assert cluster.adapter("b2").status.serving_version == 1


def test_more_adapters_than_slots_grow_the_pool() -> None:
    cluster = cluster_of(adapters=1)
    for number in range(10):
        cluster.files[f"s3://adapters/b{number}/1"] = adapter_files(f"b{number}")
        cluster.add(lora_adapter(f"b{number}"))
    cluster.settle_for(400)
    plan = cluster.endpoint().status.plan
    assert plan is not None
    assert plan.slots == 32
    assert all(a.status.serving_version == 1 for a in cluster.adapters.values())


def gpu_node(gpus: int, product: str = "H100") -> Node:
    labels = {PRODUCT_LABEL: product, MEMORY_LABEL: str(80 * 1024)}
    return Node(product, labels, {"nvidia.com/gpu": str(gpus)})


def gpu_cluster(nodes: list[Node], *, full: bool = False) -> Cluster:
    large = ARCHITECTURE.model_copy(update={"weight_bytes": 140 << 30, "attention_heads": 64, "kv_heads": 8})
    files = {"s3://models/tiny/1": base_files("base 1").model_copy(update={"architecture": large})}
    cluster = Cluster(files=files, nodes={n.name: n for n in nodes}, nodes_are_full=full)
    cluster.add(base_model(), endpoint(accelerator={"resourceName": "nvidia.com/gpu"}))
    cluster.settle()
    return cluster


def test_a_node_that_joins_restarts_nothing_that_runs() -> None:
    cluster = gpu_cluster([gpu_node(8)])
    before = revisions(cluster)
    cluster.nodes["H200"] = gpu_node(8, "H200")
    cluster.settle()
    assert revisions(cluster) == before


def test_a_revision_that_never_found_a_node_is_planned_anew_when_nodes_change() -> None:
    cluster = gpu_cluster([], full=True)
    plan = cluster.endpoint().status.plan
    assert plan is not None
    assert plan.tensor == 1
    before = revisions(cluster)
    cluster.nodes["H100"] = gpu_node(8)
    cluster.settle()
    plan = cluster.endpoint().status.plan
    assert plan is not None
    assert (plan.tensor, plan.accelerators_per_replica) == (4, 4)
    assert not set(before) & set(revisions(cluster))


def test_the_reasons_of_a_plan_outlive_the_nodes_that_they_speak_of() -> None:
    cluster = gpu_cluster([gpu_node(8)])
    plan = cluster.endpoint().status.plan
    cluster.nodes.clear()
    cluster.settle()
    assert cluster.endpoint().status.plan == plan


def test_an_adapter_on_another_volume_gets_it_mounted() -> None:
    cluster = cluster_of()
    source = {"uri": "pvc://shelf/wide"}
    cluster.files["pvc://shelf/wide"] = adapter_files("wide")
    cluster.add(lora_adapter("wide", [adapter_version("wide", 1, source=source)]))
    cluster.settle_for(400)
    assert cluster.adapter("wide").status.serving_version == 1
    deployments = [c for ref, c in cluster.children.items() if ref.kind == "Deployment"]
    volumes = [v for d in deployments for v in d["spec"]["template"]["spec"]["volumes"]]
    assert {"claimName": "shelf", "readOnly": True} in [v.get("persistentVolumeClaim") for v in volumes]
