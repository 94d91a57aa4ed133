"""Objects of the API server, reduced to what routing reads; thousands of them stay in memory."""

from typing import Any

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import COMPONENT, LABEL_BASE_MODEL, LABEL_ENDPOINT, LABEL_REVISION, MANAGED_BY, MANAGER
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import EnginePod

ENGINE_PODS = f"{COMPONENT}=engine,{MANAGED_BY}={MANAGER}"
"""Label selector."""

_META = frozenset({"name", "namespace", "creationTimestamp"})
_VERSION = frozenset({"version", "digest", "accepted"})
_CANARY_FIGURES = frozenset({"canary", "stable", "message"})
_ENDED = frozenset({"Succeeded", "Failed"})


def adapter_of(obj: dict[str, Any]) -> LoRAAdapter:
    """A LoRAAdapter with one version of its spec: routing goes by the status, trials by the rollout's analysis too."""
    return LoRAAdapter.read(_reduced(obj))


def base_of(obj: dict[str, Any]) -> BaseModel:
    """A BaseModel with one version of its spec: routing goes by the status."""
    return BaseModel.read(_reduced(obj))


def endpoint_of(obj: dict[str, Any]) -> InferenceEndpoint:
    """An InferenceEndpoint: routing goes by its revisions."""
    return InferenceEndpoint.read(_reduced(obj))


def pod_of(obj: dict[str, Any]) -> EnginePod:
    """An engine pod; the address is empty once it has ended."""
    meta, status = obj["metadata"], obj.get("status", {})
    labels = meta.get("labels", {})
    return EnginePod(
        key=Key(meta["namespace"], meta["name"]),
        ip="" if status.get("phase") in _ENDED else status.get("podIP", ""),
        endpoint=labels.get(LABEL_ENDPOINT, ""),
        revision=labels.get(LABEL_REVISION, ""),
        base_model=labels.get(LABEL_BASE_MODEL, ""),
        terminating="deletionTimestamp" in meta,
    )


def _reduced(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without what grows with its age, and without conditions, whose reasons a newer operator may add to."""
    spec, status = dict(obj["spec"]), dict(obj.get("status", {}))
    if "versions" in spec:
        spec["versions"] = [{**version, "lineage": None} for version in spec["versions"][-1:]]
    if "versions" in status:
        status["versions"] = [{k: v for k, v in entry.items() if k in _VERSION} for entry in status["versions"]]
    if canary := status.get("canary"):
        status["canary"] = {k: v for k, v in canary.items() if k not in _CANARY_FIGURES}
    for field in ("history", "conditions"):
        status.pop(field, None)
    meta = {k: v for k, v in obj["metadata"].items() if k in _META}
    return {"metadata": meta, "spec": spec, "status": status}
