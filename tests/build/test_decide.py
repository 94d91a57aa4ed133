"""The one door: decisions become manifests, and only those that differ."""

import pytest

from tests.plan.fleet import NAMESPACE, base_files, base_model, endpoint
from tests.plan.simulation import Cluster
from tunefleet.build.decide import CLASH_SECONDS
from tunefleet.plan.facts import ObjectRef

CHAT = ObjectRef("InferenceEndpoint", NAMESPACE, "chat")
ACCESS = ("NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding", "Secret", "ServiceAccount")


def cluster_before_start() -> Cluster:
    """The base is accepted, the endpoint not decided yet."""
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1")})
    cluster.add(base_model())
    cluster.settle()
    cluster.add(endpoint())
    return cluster


def test_an_endpoint_gets_everything_that_its_pods_need_before_the_pods() -> None:
    plan = cluster_before_start().plan(CHAT)
    kinds = [manifest["kind"] for manifest in plan.apply]
    assert sorted(kinds[:-1]) == list(ACCESS)
    assert kinds[-1] == "Deployment"
    assert any("Deployment chat-" in sentence and sentence.endswith("missing") for sentence in plan.why)


@pytest.mark.parametrize("kind", [*ACCESS, "Deployment"])
def test_an_object_of_somebody_else_under_a_wanted_name_is_waited_for(kind: str) -> None:
    cluster = cluster_before_start()
    wanted = next(m for m in cluster.plan(CHAT).apply if m["kind"] == kind)
    other = {"kind": "InferenceEndpoint", "name": "chat", "uid": "the former one", "controller": True}
    ref = ObjectRef(kind, NAMESPACE, wanted["metadata"]["name"])
    cluster.children[ref] = {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": [other], "uid": "u"}}
    plan = cluster.plan(CHAT)
    assert kind not in [manifest["kind"] for manifest in plan.apply]
    assert plan.delete == ()
    assert plan.requeue_after == CLASH_SECONDS
    assert any("belongs to another owner" in sentence for sentence in plan.why)


@pytest.mark.parametrize("kind", ACCESS)
def test_a_child_that_somebody_deleted_is_made_again(kind: str) -> None:
    cluster = cluster_before_start()
    cluster.settle()
    ref = next(ref for ref in cluster.children if ref.kind == kind)
    del cluster.children[ref]
    assert [m["kind"] for m in cluster.plan(CHAT).apply] == [kind]


def test_a_child_that_somebody_altered_is_put_right() -> None:
    cluster = cluster_before_start()
    cluster.settle()
    ref = next(ref for ref in cluster.children if ref.kind == "Deployment")
    deployment = cluster.children[ref]
    cluster.children[ref] = {**deployment, "spec": {**deployment["spec"], "replicas": 7}}
    plan = cluster.plan(CHAT)
    assert [m["spec"]["replicas"] for m in plan.apply] == [1]
    assert plan.why == (f"Deployment {ref.name}: spec.replicas",)


def test_other_kinds_are_not_decided() -> None:
    with pytest.raises(KeyError):
        Cluster().plan(ObjectRef("Pod", NAMESPACE, "x"))
