"""Writes, against a real API server."""

import json
from typing import Any

import pytest

from dev.shell import Shell
from tunefleet.api.names import FIELD_MANAGER, MANAGED_BY, MANAGER, STATUS_FIELD_MANAGER
from tunefleet.kube.client import ApiError, Client
from tunefleet.kube.fence import LeadershipLostError, Unfenced
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.writer import NotOursError, Target, Writer

pytestmark = pytest.mark.apiserver


@pytest.fixture
def writer(api: Client) -> Writer:
    """Acts alone."""
    return Writer(api, Unfenced())


def account(namespace: str, name: str = "child", **metadata: Any) -> dict[str, Any]:
    """A ServiceAccount of ours."""
    labels = {MANAGED_BY: MANAGER}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, **metadata},
    }


def job(namespace: str) -> dict[str, Any]:
    """A Job; no controller of the tests' control plane touches it."""
    container = {"name": "only", "image": "none"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "child", "namespace": namespace, "labels": {MANAGED_BY: MANAGER}},
        "spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}},
    }


def read(kubectl: Shell, name: str, namespace: str) -> dict[str, Any]:
    """A ServiceAccount as it stands."""
    found: dict[str, Any] = json.loads(kubectl.kubectl("get", "serviceaccount", name, "-n", namespace, "-o", "json"))
    return found


def managers(obj: dict[str, Any]) -> set[tuple[str, str]]:
    """Who owns fields of an object, and how."""
    return {(entry["manager"], entry["operation"]) for entry in obj["metadata"]["managedFields"]}


async def test_apply_creates_changes_and_takes_away(writer: Writer, namespace: str) -> None:
    created = await writer.apply(account(namespace, annotations={"a": "1", "b": "1"}), resource_version=None)
    version = created["metadata"]["resourceVersion"]
    changed = await writer.apply(account(namespace, annotations={"a": "2"}), resource_version=version)
    assert changed["metadata"]["annotations"] == {"a": "2"}
    assert managers(changed) == {(FIELD_MANAGER, "Apply")}


async def test_what_others_added_stays(writer: Writer, api: Client, namespace: str) -> None:
    await writer.apply(account(namespace), resource_version=None)
    patched = await api.merge_patch(
        RESOURCES["ServiceAccount"],
        namespace,
        "child",
        {"metadata": {"annotations": {"theirs": "1"}}},
        field_manager="somebody",
    )
    version = patched["metadata"]["resourceVersion"]
    applied = await writer.apply(account(namespace, annotations={"ours": "1"}), resource_version=version)
    assert applied["metadata"]["annotations"] == {"ours": "1", "theirs": "1"}


async def test_applying_the_same_again_changes_nothing(writer: Writer, namespace: str) -> None:
    first = await writer.apply(account(namespace), resource_version=None)
    again = await writer.apply(account(namespace), resource_version=first["metadata"]["resourceVersion"])
    assert again == first


async def test_an_apply_that_was_decided_on_an_old_state_is_refused(
    writer: Writer, api: Client, namespace: str
) -> None:
    old = await writer.apply(account(namespace), resource_version=None)
    await api.merge_patch(
        RESOURCES["ServiceAccount"], namespace, "child", {"metadata": {"annotations": {"x": "1"}}}, field_manager="me"
    )
    with pytest.raises(ApiError) as refused:
        await writer.apply(account(namespace), resource_version=old["metadata"]["resourceVersion"])
    assert refused.value.status == 409


async def test_an_object_of_somebody_else_is_left_alone(writer: Writer, kubectl: Shell, namespace: str) -> None:
    kubectl.kubectl("create", "serviceaccount", "child", "-n", namespace)
    before = read(kubectl, "child", namespace)
    with pytest.raises(NotOursError, match="rename or delete it"):
        await writer.apply(account(namespace), resource_version=None)
    assert read(kubectl, "child", namespace) == before


async def test_an_object_of_ours_that_lost_its_label_is_still_ours(
    writer: Writer, kubectl: Shell, namespace: str
) -> None:
    kubectl.kubectl("create", "serviceaccount", "owner", "-n", namespace)
    owner = read(kubectl, "owner", namespace)["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "owner", "uid": owner}
    manifest = account(namespace, ownerReferences=[reference])
    await writer.apply(manifest, resource_version=None)
    kubectl.kubectl("label", "serviceaccount", "child", "-n", namespace, f"{MANAGED_BY}-")
    applied = await writer.apply(manifest, resource_version=None)
    assert applied["metadata"]["labels"] == {MANAGED_BY: MANAGER}


async def test_a_status_is_whole_and_tied_to_the_state_it_was_decided_on(
    writer: Writer, api: Client, namespace: str
) -> None:
    created = await writer.apply(job(namespace), resource_version=None)
    target = Target("Job", namespace, "child")
    uid, version = created["metadata"]["uid"], created["metadata"]["resourceVersion"]
    first = await writer.apply_status(target, {"active": 1, "ready": 1}, uid=uid, resource_version=version)
    assert (STATUS_FIELD_MANAGER, "Apply") in managers(first)
    newer = first["metadata"]["resourceVersion"]
    second = await writer.apply_status(target, {"active": 2}, uid=uid, resource_version=newer)
    assert second["status"]["active"] == 2
    assert "ready" not in second["status"]
    for stale in ({"uid": uid, "resource_version": version}, {"uid": "another", "resource_version": newer}):
        with pytest.raises(ApiError) as refused:
            await writer.apply_status(target, {"active": 3}, **stale)
        assert refused.value.status == 409


async def test_deleting_takes_just_the_object_that_was_meant(writer: Writer, api: Client, namespace: str) -> None:
    created = await writer.apply(account(namespace), resource_version=None)
    target = Target("ServiceAccount", namespace, "child")
    with pytest.raises(ApiError) as refused:
        await writer.delete(target, uid="another")
    assert refused.value.status == 409
    assert await writer.delete(target, uid=created["metadata"]["uid"]) is None
    assert await writer.read_metadata(target) is None
    assert await writer.delete(target, uid=created["metadata"]["uid"]) is None


async def test_deleting_what_stays_for_a_while_says_so(writer: Writer, api: Client, namespace: str) -> None:
    created = await writer.apply(account(namespace, finalizers=["tests/hold"]), resource_version=None)
    left = await writer.delete(Target("ServiceAccount", namespace, "child"), uid=created["metadata"]["uid"])
    assert left is not None
    assert left["metadata"]["deletionTimestamp"]


async def test_no_data_of_a_secret_comes_back(writer: Writer, api: Client, namespace: str) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "child", "namespace": namespace, "labels": {MANAGED_BY: MANAGER}},
        "stringData": {"key": "hush"},
    }
    applied = await writer.apply(manifest, resource_version=None)
    found = await writer.read_metadata(Target("Secret", namespace, "child"))
    assert "data" not in applied
    assert found is not None
    assert set(found) == {"apiVersion", "kind", "metadata"}
    assert found["metadata"]["uid"] == applied["metadata"]["uid"]


async def test_nothing_is_sent_once_the_lease_is_lost(api: Client, namespace: str) -> None:
    class Lost:
        def remaining(self) -> float:
            return 0.0

    writer = Writer(api, Lost(), lambda verb, kind: pytest.fail(f"{verb} {kind} was sent"))
    target = Target("Job", namespace, "child")
    for write in (
        writer.apply(account(namespace), resource_version=None),
        writer.create(account(namespace)),
        writer.delete(target, uid="any"),
        writer.apply_status(target, {}, uid="any", resource_version="1"),
    ):
        with pytest.raises(LeadershipLostError):
            await write
    assert await Writer(api, Unfenced()).read_metadata(Target("ServiceAccount", namespace, "child")) is None


async def test_writes_are_counted_by_verb_and_kind(api: Client, namespace: str) -> None:
    writes: list[tuple[str, str]] = []
    writer = Writer(api, Unfenced(), lambda verb, kind: writes.append((verb, kind)))
    created = await writer.apply(job(namespace), resource_version=None)
    metadata = created["metadata"]
    target = Target("Job", namespace, "child")
    await writer.apply_status(target, {}, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
    await writer.delete(target, uid=metadata["uid"])
    assert writes == [("apply", "Job"), ("apply", "Job/status"), ("delete", "Job")]
