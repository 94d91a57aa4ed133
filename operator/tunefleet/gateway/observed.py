"""Objects of the API server, reduced to what routing reads; thousands of them stay in memory."""

from typing import Any

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import COMPONENT, LABEL_BASE_MODEL, LABEL_ENDPOINT, LABEL_REVISION, MANAGED_BY, MANAGER
from tunefleet.plan.facts import Key
from tunefleet.plan.parallelism import REGION_LABEL
from tunefleet.plan.route_table import EnginePod
from tunefleet.plan.routed import Routed, routed_adapter, routed_base

ENGINE_PODS = f"{COMPONENT}=engine,{MANAGED_BY}={MANAGER}"
"""Label selector."""

_META = frozenset({"name", "namespace", "creationTimestamp", "labels"})
_VERSION = frozenset({"version", "digest", "accepted"})
_CANARY_FIGURES = frozenset({"canary", "stable", "message"})
_ENDED = frozenset({"Succeeded", "Failed"})


def adapter_of(obj: dict[str, Any]) -> Routed:
    """A LoRAAdapter. Raises ValueError when it is not one."""
    return routed_adapter(LoRAAdapter.read(_reduced(obj)))


def base_of(obj: dict[str, Any]) -> Routed:
    """A BaseModel. Raises ValueError when it is not one."""
    return routed_base(BaseModel.read(_reduced(obj)))


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
        regions=_regions(obj),
    )


def _regions(pod: dict[str, Any]) -> tuple[str, ...]:
    """Kubernetes copies the label from the node when it binds the pod: from 1.35 on by default (PodTopologyLabels, KEP
    4742), in 1.33 and 1.34 by feature gate. Without it, what the pod's own affinity requires is known."""
    label = pod["metadata"].get("labels", {}).get(REGION_LABEL)
    if label:
        return (label,)
    affinity = pod.get("spec", {}).get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    found = [_required(term) for term in terms]
    return tuple(sorted(set().union(*found))) if all(found) else ()


def _required(term: dict[str, Any]) -> frozenset[str]:
    """The regions that one term allows; a node needs to match one of the terms only."""
    wanted = [e for e in term.get("matchExpressions", []) if e["key"] == REGION_LABEL and e["operator"] == "In"]
    return frozenset(wanted[0]["values"]) if wanted else frozenset()


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
