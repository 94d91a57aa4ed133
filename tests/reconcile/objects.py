"""Objects as the API server sends them, for tests without one."""

from typing import Any

from tunefleet.api.names import COMPONENT, LABEL_ENDPOINT, MANAGED_BY, MANAGER
from tunefleet.plan.facts import Settings

SETTINGS = Settings(namespace="system", runtime_image="image", operator_key=b"o" * 32, gateway_key=b"g" * 32)


def stamped(obj: dict[str, Any], uid: str, version: int) -> dict[str, Any]:
    """The object as it stood at a resourceVersion."""
    return {**obj, "metadata": {**obj["metadata"], "uid": uid, "resourceVersion": str(version)}}


def base_model(name: str = "chat", uid: str = "uid-1", version: int = 1, **metadata: Any) -> dict[str, Any]:
    """A base with one version."""
    versions = [{"version": 1, "source": {"uri": "pvc://models/base"}}]
    obj = {
        "apiVersion": "tunefleet.io/v1alpha1",
        "kind": "BaseModel",
        "metadata": {"name": name, "namespace": "ns", **metadata},
        "spec": {"versions": versions},
    }
    return stamped(obj, uid, version)


def pod(name: str = "pod", version: int = 1, ip: str = "127.0.0.1", **status: Any) -> dict[str, Any]:
    """An engine pod."""
    labels = {MANAGED_BY: MANAGER, COMPONENT: "engine", LABEL_ENDPOINT: "chat"}
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": labels, "managedFields": [{"manager": "kubelet"}]},
        "status": {"phase": "Running", "podIP": ip, **status},
    }
    return stamped(obj, f"uid-{name}", version)


def node(version: int = 1, **status: Any) -> dict[str, Any]:
    """A node with two GPUs."""
    obj = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node", "labels": {"nvidia.com/gpu.product": "H200"}},
        "spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}], "unschedulable": True},
        "status": {"allocatable": {"nvidia.com/gpu": "2"}, **status},
    }
    return stamped(obj, "uid-node", version)
