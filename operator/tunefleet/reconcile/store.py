"""The latest known state of every watched object, each parsed once, when it comes in.

Events may be lost, late, repeated or out of order:
- an older resourceVersion of an object never replaces a newer one (they are integers that grow: KEP-5504);
- an object that was deleted never comes back under its uid;
- `replace_all` puts a whole list in place and finds deletions that no event told of.
Answers to our own writes are stored at once, so no decision is made on a state from before them.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.adapters_api import AdaptersReport
from tunefleet.kube.writer import without_data
from tunefleet.plan.demand import DemandReport
from tunefleet.plan.facts import Facts, Inspection, InspectionRequest, Key, Manifest, Node, ObjectRef, Settings

log = logging.getLogger(__name__)

TOMBSTONES = 16384
"""Deleted objects whose late events are recognised."""


class Seen(NamedTuple):
    """Which state of which object the store has."""

    uid: str
    version: str

    @property
    def number(self) -> int:
        """The resourceVersion as it sorts."""
        return int(self.version)


def ref_of(obj: Manifest) -> ObjectRef:
    """What an object is."""
    metadata = obj["metadata"]
    return ObjectRef(obj["kind"], metadata.get("namespace", ""), metadata["name"])


class Store:
    """What is known of the fleet. Not thread-safe; changes happen between two awaits, never during one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reports: dict[Key, AdaptersReport] = {}
        self.gateways: dict[Key, DemandReport | None] = {}
        self.inspections: dict[InspectionRequest, Inspection] = {}
        self.secrets: dict[Key, bool] = {}
        self._base_models: dict[Key, BaseModel] = {}
        self._adapters: dict[Key, LoRAAdapter] = {}
        self._endpoints: dict[Key, InferenceEndpoint] = {}
        self._children: dict[ObjectRef, Manifest] = {}
        self._pods: dict[Key, Manifest] = {}
        self._nodes: dict[str, Node] = {}
        self._seen: dict[ObjectRef, Seen] = {}
        self._tombstones: OrderedDict[str, None] = OrderedDict()

    def seen(self, ref: ObjectRef) -> Seen | None:
        """Which state of an object the store has; None when it does not exist."""
        return self._seen.get(ref)

    def refs(self, *kinds: str) -> tuple[ObjectRef, ...]:
        """Every object of these kinds."""
        return tuple(ref for ref in self._seen if ref.kind in kinds)

    def pod(self, key: Key) -> Manifest | None:
        """A pod as last seen."""
        return self._pods.get(key)

    def put(self, obj: Manifest) -> bool:
        """Take in a state of an object. True when it is news: newer, and different in what anybody looks at."""
        ref, seen = ref_of(obj), Seen(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"])
        former = self._seen.get(ref)
        if seen.uid in self._tombstones or (former and former.uid == seen.uid and former.number >= seen.number):
            return False
        try:
            value = _parse(obj)
        except ValidationError as error:
            log.warning("%s cannot be read and is left alone: %s", ref, _faults(error))
            return False
        self._seen[ref] = seen
        place, key = self._place(ref)
        news = place.get(key) != value
        place[key] = value
        return news

    def remove(self, ref: ObjectRef, uid: str) -> bool:
        """Forget a deleted object. True when it was known; another object of that name stays."""
        self._tombstones[uid] = None
        if len(self._tombstones) > TOMBSTONES:
            self._tombstones.popitem(last=False)
        former = self._seen.get(ref)
        if former is None or former.uid != uid:
            return False
        del self._seen[ref]
        place, key = self._place(ref)
        place.pop(key, None)
        return True

    def replace_all(self, kind: str, namespace: str | None, objects: Iterable[Manifest], version: str) -> None:
        """Take in the whole list of a kind, in one namespace or in all, as it was at resourceVersion `version`."""
        listed = {ref_of(obj): obj for obj in objects}
        for ref in self.refs(kind):
            seen = self._seen[ref]
            if ref not in listed and namespace in (None, ref.namespace) and seen.number <= int(version):
                self.remove(ref, seen.uid)
        for obj in listed.values():
            self.put(obj)

    def endpoint(self, key: Key) -> InferenceEndpoint | None:
        """An endpoint as last seen."""
        return self._endpoints.get(key)

    def view(self) -> Facts:
        """The present, for use before the next await: it changes with the store."""
        return Facts(
            settings=self.settings,
            base_models=MappingProxyType(self._base_models),
            adapters=MappingProxyType(self._adapters),
            endpoints=MappingProxyType(self._endpoints),
            children=MappingProxyType(self._children),
            pods=MappingProxyType(self._pods),
            nodes=MappingProxyType(self._nodes),
            reports=MappingProxyType(self.reports),
            gateways=MappingProxyType(self.gateways),
            inspections=MappingProxyType(self.inspections),
            secrets=MappingProxyType(self.secrets),
        )

    def facts(self) -> Facts:
        """The present, frozen."""
        return Facts(
            settings=self.settings,
            base_models=dict(self._base_models),
            adapters=dict(self._adapters),
            endpoints=dict(self._endpoints),
            children=dict(self._children),
            pods=dict(self._pods),
            nodes=dict(self._nodes),
            reports=dict(self.reports),
            gateways=dict(self.gateways),
            inspections=dict(self.inspections),
            secrets=dict(self.secrets),
        )

    def _place(self, ref: ObjectRef) -> tuple[dict[Any, Any], Any]:
        key = Key(ref.namespace, ref.name)
        match ref.kind:
            case "BaseModel":
                return self._base_models, key
            case "LoRAAdapter":
                return self._adapters, key
            case "InferenceEndpoint":
                return self._endpoints, key
            case "Pod":
                return self._pods, key
            case "Node":
                return self._nodes, ref.name
            case _:
                return self._children, ref


def _parse(obj: Manifest) -> object:
    """What of an object is kept. Raises ValidationError for one that this version cannot read."""
    match obj["kind"]:
        case "BaseModel":
            return BaseModel.read(obj)
        case "LoRAAdapter":
            return LoRAAdapter.read(obj)
        case "InferenceEndpoint":
            return InferenceEndpoint.read(obj)
        case "Node":
            return node(obj)
        case _:
            return _trimmed(obj)


def _trimmed(obj: Manifest) -> dict[str, Any]:
    """Without what nobody reads and what changes with every write; and no Secret's data stays in memory."""
    dropped = {"managedFields", "resourceVersion"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in dropped}
    return {**without_data(dict(obj)), "metadata": metadata}


def node(obj: Manifest) -> Node:
    """The part of a node that planning reads; so the kubelet's heartbeats are no news."""
    spec: Mapping[str, Any] = obj.get("spec") or {}
    return Node(
        name=obj["metadata"]["name"],
        labels=obj["metadata"].get("labels") or {},
        allocatable=(obj.get("status") or {}).get("allocatable") or {},
        taints=tuple(spec.get("taints") or ()),
        schedulable=not spec.get("unschedulable", False),
    )


def _faults(error: ValidationError) -> str:
    """Where and what, never the value: it could be anything."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
