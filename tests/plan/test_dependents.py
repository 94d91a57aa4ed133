"""Who is decided again when something changed."""

from tests.plan.fleet import adapter_files, base_files, base_model, endpoint, lora_adapter
from tests.plan.simulation import Cluster
from tunefleet.plan.dependents import dependents
from tunefleet.plan.facts import ObjectRef

BASE = ObjectRef("BaseModel", "ml", "tiny")
GERMAN = ObjectRef("LoRAAdapter", "ml", "german")
CHAT = ObjectRef("InferenceEndpoint", "ml", "chat")
OTHER = {ObjectRef("BaseModel", "ml", "other"), ObjectRef("LoRAAdapter", "ml", "unrelated")}


def cluster_of() -> Cluster:
    cluster = Cluster(
        files={
            "s3://models/tiny/1": base_files("base 1"),
            "s3://models/other/1": base_files("other 1"),
            "s3://adapters/german/1": adapter_files("german 1"),
            "s3://adapters/unrelated/1": adapter_files("unrelated 1"),
        }
    )
    cluster.add(base_model(), base_model("other"), lora_adapter("german"), lora_adapter("unrelated", base="other"))
    cluster.add(endpoint())
    cluster.settle()
    return cluster


def test_a_base_concerns_its_adapters_and_endpoints() -> None:
    assert dependents(cluster_of().facts(), BASE) == {BASE, GERMAN, CHAT}


def test_an_adapter_concerns_the_endpoints_of_its_base() -> None:
    assert dependents(cluster_of().facts(), GERMAN) == {GERMAN, CHAT}


def test_an_endpoint_concerns_the_adapters_of_its_base() -> None:
    assert dependents(cluster_of().facts(), CHAT) == {GERMAN, CHAT}


def test_an_engine_pod_concerns_its_endpoint_and_adapters() -> None:
    cluster = cluster_of()
    assert dependents(cluster.facts(), ObjectRef("Pod", *cluster.engine_pods()[0])) == {GERMAN, CHAT}


def test_an_inspection_concerns_what_it_reads() -> None:
    cluster = cluster_of()
    pod = next(key for key in cluster.pods if key.name.startswith("inspect-tiny"))
    assert dependents(cluster.facts(), ObjectRef("Pod", *pod)) == {BASE}
    job = next(ref for ref in cluster.children if ref.name.startswith("inspect-tiny"))
    assert dependents(cluster.facts(), job) == {BASE}


def test_a_child_concerns_its_owner() -> None:
    cluster = cluster_of()
    for ref in cluster.children:
        if ref.kind != "Job":
            assert dependents(cluster.facts(), ref) == {CHAT}


def test_what_is_gone_concerns_everything_of_its_namespace() -> None:
    everything = {BASE, GERMAN, CHAT, *OTHER}
    facts = cluster_of().facts()
    assert dependents(facts, ObjectRef("Pod", "ml", "gone")) == everything
    assert dependents(facts, ObjectRef("Deployment", "ml", "gone")) == everything
    assert dependents(facts, ObjectRef("Pod", "elsewhere", "gone")) == set()


def test_a_name_that_becomes_free_concerns_who_waits_for_it() -> None:
    cluster = cluster_of()
    meta = {"creation_timestamp": "2027-01-01T00:00:00Z"}
    young = lora_adapter("young", servedModelName="german")
    cluster.add(young.model_copy(update={"metadata": young.metadata.model_copy(update=meta)}))
    cluster.settle()
    ref = ObjectRef("LoRAAdapter", "ml", "young")
    assert ref in dependents(cluster.facts(), GERMAN)
    cluster.adapters = {key: a for key, a in cluster.adapters.items() if key.name != "german"}
    assert ref in dependents(cluster.facts(), GERMAN)


def test_a_node_concerns_endpoints_that_look_for_one() -> None:
    cluster = cluster_of()
    node = ObjectRef("Node", "", "n1")
    assert dependents(cluster.facts(), node) == set()
    cluster.nodes_are_full = True
    cluster.add(endpoint("second"))
    cluster.settle()
    assert dependents(cluster.facts(), node) == {ObjectRef("InferenceEndpoint", "ml", "second")}
