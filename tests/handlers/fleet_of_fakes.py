"""What a node would do, in the tests' hands: pods that run, inspections that end."""

import json
from collections.abc import Iterable
from typing import Any

from tests.handlers.control_plane import ControlPlane

DIGEST = "sha256:" + "ab" * 32
ARCHITECTURE = {
    "modelType": "llama",
    "className": "LlamaForCausalLM",
    "parameters": 1000,
    "weightBytes": 2000,
    "layers": 2,
    "hiddenSize": 64,
    "intermediateSize": 128,
    "attentionHeads": 2,
    "kvHeads": 2,
    "headDim": 32,
    "vocabSize": 100,
    "maxPositions": 128,
    "dtype": "bfloat16",
    "modules": {"model.layers.*.self_attn.q_proj": [64, 64]},
}


def base_model(namespace: str, name: str = "chat") -> dict[str, Any]:
    """A base with one version."""
    return _object("BaseModel", namespace, name, {"versions": [{"version": 1, "source": {"uri": "pvc://models/base"}}]})


def adapter(
    namespace: str, name: str, base: str = "chat", versions: Iterable[int] = (1,), active: int = 1
) -> dict[str, Any]:
    """An adapter of it."""
    listed = [
        {"version": number, "baseModelVersion": 1, "source": {"uri": f"pvc://models/{name}/v{number}"}}
        for number in versions
    ]
    return _object(
        "LoRAAdapter", namespace, name, {"baseModelRef": {"name": "chat"}, "activeVersion": active, "versions": listed}
    )


def endpoint(namespace: str, name: str = "chat") -> dict[str, Any]:
    """One engine on CPU."""
    spec = {"model": {"name": name, "version": 1}, "accelerator": {"resourceName": "cpu"}}
    return _object("InferenceEndpoint", namespace, name, spec)


def _object(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "tunefleet.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def pods(plane: ControlPlane, namespace: str, component: str) -> list[dict[str, Any]]:
    """Living pods of ours."""
    found = plane.get("pods", "-n", namespace, "-l", f"app.kubernetes.io/component={component}")["items"]
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def finish_inspection(plane: ControlPlane, pod: dict[str, Any]) -> None:
    """The pod of an inspection Job read a good base."""
    result = {"kind": "base", "digest": DIGEST, "sizeBytes": 2000, "architecture": ARCHITECTURE}
    state = {"terminated": {"exitCode": 0, "message": json.dumps(result), "finishedAt": "2026-01-01T00:00:00Z"}}
    container = pod["spec"]["containers"][0]
    status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0}
    _patch_status(plane, pod, {"phase": "Succeeded", "containerStatuses": [{**status, "state": state}]})


def run_engine(plane: ControlPlane, pod: dict[str, Any], address: str) -> None:
    """The engine's pod is up and ready."""
    conditions = [
        {"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    _patch_status(
        plane, pod, {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
    )


def _patch_status(plane: ControlPlane, pod: dict[str, Any], status: dict[str, Any]) -> None:
    metadata = pod["metadata"]
    patch = json.dumps({"status": status})
    plane.kubectl(
        *("patch", "pod", metadata["name"], "-n", metadata["namespace"]),
        *("--subresource=status", "--type=merge", "-p", patch),
    )
