"""Everything a decision may look at, frozen: what users wrote, what stands in the cluster, what agents say.

`gather` fills it, `decide` reads it. Mappings may come in any order; no decision depends on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.inspection import InspectionResult
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.adapters_api import AdaptersReport

from .demand import DemandReport
from .served_names import Served, owners

Manifest = Mapping[str, Any]
"""A Kubernetes object as JSON."""


class Key(NamedTuple):
    """An object whose kind is known from where it stands."""

    namespace: str
    name: str


class ObjectRef(NamedTuple):
    """Any object of the API server. The kinds in play have one API version each, see `build.api_versions`."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Node:
    """The part of a node that planning reads."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    """Kubernetes quantities, such as {"nvidia.com/gpu": "8"}."""
    taints: tuple[Mapping[str, str], ...] = ()
    """Each {key, value?, effect}."""
    schedulable: bool = True
    """False when cordoned."""


@dataclass(frozen=True)
class Settings:
    """How this operator was started, and the fleet's keys."""

    namespace: str
    """The operator's own namespace."""
    runtime_image: str
    """Image of engine pods and inspection Jobs unless the endpoint names one."""
    image_pull_policy: str = "IfNotPresent"
    pod_template: str = ""
    """Names the form of the pods that this operator makes; `build` fills it in."""
    operator_key: bytes = field(default=b"", repr=False)
    """`operatorKey` of the Secret tunefleet-fleet."""
    gateway_key: bytes = field(default=b"", repr=False)
    """`gatewayKey` of the Secret tunefleet-fleet."""


@dataclass(frozen=True)
class InspectionRequest:
    """A question to an agent: what is at this URI? Equal requests have equal answers."""

    namespace: str
    uri: str
    secret_name: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Inspection:
    """An asked question. Both `result` and `error` empty: still running."""

    pod: Key
    """The pod whose agent was asked."""
    started: datetime
    finished: datetime | None = None
    result: InspectionResult | None = None
    """The agent's answer, refusals included."""
    error: str = ""
    """Why there was no answer: refused connection, HTTP error, time-out."""


def _empty() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Facts:
    """One look at the fleet. Objects that are being deleted are in it, with their deletionTimestamp."""

    settings: Settings
    base_models: Mapping[Key, BaseModel] = field(default_factory=_empty)
    adapters: Mapping[Key, LoRAAdapter] = field(default_factory=_empty)
    endpoints: Mapping[Key, InferenceEndpoint] = field(default_factory=_empty)
    children: Mapping[ObjectRef, Manifest] = field(default_factory=_empty)
    """Observed objects labelled app.kubernetes.io/managed-by=tunefleet: Deployment, Job, ServiceAccount, Role,
    RoleBinding, Secret, NetworkPolicy, PodDisruptionBudget."""
    pods: Mapping[Key, Manifest] = field(default_factory=_empty)
    """Observed pods labelled app.kubernetes.io/managed-by=tunefleet: engines and inspections."""
    nodes: Mapping[str, Node] = field(default_factory=_empty)
    reports: Mapping[Key, AdaptersReport] = field(default_factory=_empty)
    """By pod: the latest report of each agent that answers; absent when it does not."""
    gateways: Mapping[Key, DemandReport | None] = field(default_factory=_empty)
    """By living gateway pod: its latest report; None while it has not answered yet, which is not the same as idle."""
    inspections: Mapping[InspectionRequest, Inspection] = field(default_factory=_empty)
    """Questions asked of agents by this process; nothing is lost when they are forgotten."""
    secrets: Mapping[Key, bool] = field(default_factory=_empty)
    """Whether a Secret that a fallback names exists, for those that were looked for."""

    @cached_property
    def name_owners(self) -> Mapping[str, Served]:
        """By served name: whose it is, over the whole fleet. Objects that are going have given their name up."""
        served: list[Served] = [*self.base_models.values(), *self.adapters.values()]
        return owners(obj for obj in served if not obj.metadata.deletion_timestamp)

    @cached_property
    def pods_by_namespace(self) -> Mapping[str, tuple[Key, ...]]:
        """Keys of the pods of each namespace, sorted."""
        found: dict[str, list[Key]] = {}
        for key in sorted(self.pods):
            found.setdefault(key.namespace, []).append(key)
        return {namespace: tuple(keys) for namespace, keys in found.items()}
