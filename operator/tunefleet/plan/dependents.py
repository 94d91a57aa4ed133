"""Which objects have to be decided again when something changed. Too many costs a decision that plans nothing;
too few would leave a status behind until the slow timer."""

from collections.abc import Iterable, Iterator

from tunefleet.api.common import ObjectMeta, ObjectStatus
from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import LABEL_ENDPOINT, LABEL_INSPECTED_KIND, LABEL_INSPECTED_NAME

from .facts import Facts, Key, ObjectRef
from .selection import selects

USER_KINDS = ("BaseModel", "LoRAAdapter", "InferenceEndpoint")

_CONTENDED = frozenset({Reason.NAME_CONFLICT, Reason.NO_FREE_SLOT})
"""Reasons that go away when another object does."""


def dependents(facts: Facts, ref: ObjectRef) -> frozenset[ObjectRef]:
    """Objects of the three kinds, `ref` itself included when it is one. `facts` may or may not have `ref` any more."""
    match ref.kind:
        case "BaseModel":
            found = [ref, *_of_base(facts, ref), *_contending(facts)]
        case "LoRAAdapter":
            found = [ref, *_endpoints_of(facts, ref), *_contending(facts)]
        case "InferenceEndpoint":
            found = [ref, *_adapters_of(facts, Key(ref.namespace, ref.name)), *_falling_back_on(facts, ref)]
        case "Pod":
            found = list(_of_pod(facts, Key(ref.namespace, ref.name)))
        case "Node":
            found = list(_unscheduled(facts))
        case _:
            found = list(_of_child(facts, ref))
    return frozenset(found)


def _of_base(facts: Facts, base: ObjectRef) -> Iterator[ObjectRef]:
    for key, adapter in facts.adapters.items():
        if (key.namespace, adapter.spec.base_model_ref.name) == (base.namespace, base.name):
            yield ObjectRef("LoRAAdapter", *key)
    for key, endpoint in facts.endpoints.items():
        if (key.namespace, endpoint.spec.model.name) == (base.namespace, base.name):
            yield ObjectRef("InferenceEndpoint", *key)


def _contending(facts: Facts) -> Iterator[ObjectRef]:
    """Objects that wait for a name or a slot to become free, and those whose name is asked for twice."""
    asked: dict[str, ObjectRef] = {}
    for ref, meta, status, name in _served(facts):
        if name in asked:
            yield from (asked[name], ref)
        asked[name] = ref
        if not meta.deletion_timestamp and any(c.reason in _CONTENDED for c in status.conditions):
            yield ref


def _served(facts: Facts) -> Iterator[tuple[ObjectRef, ObjectMeta, ObjectStatus, str]]:
    for key, base in facts.base_models.items():
        yield ObjectRef("BaseModel", *key), base.metadata, base.status, base.served_name
    for key, adapter in facts.adapters.items():
        yield ObjectRef("LoRAAdapter", *key), adapter.metadata, adapter.status, adapter.served_name


def _endpoints_of(facts: Facts, ref: ObjectRef) -> Iterator[ObjectRef]:
    """Endpoints that carry the adapter, or still hold it: labels may have changed, so all of its base."""
    adapter = facts.adapters.get(Key(ref.namespace, ref.name))
    for key, endpoint in facts.endpoints.items():
        same_base = adapter is None or endpoint.spec.model.name == adapter.spec.base_model_ref.name
        if key.namespace == ref.namespace and same_base:
            yield ObjectRef("InferenceEndpoint", *key)


def _adapters_of(facts: Facts, endpoint: Key) -> Iterator[ObjectRef]:
    """Adapters that the endpoint carries; all of the namespace when it is gone."""
    known = facts.endpoints.get(endpoint)
    for key, adapter in facts.adapters.items():
        if key.namespace == endpoint.namespace and (known is None or _same_base(known, adapter)):
            yield ObjectRef("LoRAAdapter", *key)


def _falling_back_on(facts: Facts, other: ObjectRef) -> Iterator[ObjectRef]:
    """Endpoints whose fallback is this one."""
    for key, endpoint in facts.endpoints.items():
        reference = endpoint.spec.fallback.endpoint_ref if endpoint.spec.fallback else None
        if key.namespace == other.namespace and reference is not None and reference.name == other.name:
            yield ObjectRef("InferenceEndpoint", *key)


def _same_base(endpoint: InferenceEndpoint, adapter: LoRAAdapter) -> bool:
    return endpoint.spec.model.name == adapter.spec.base_model_ref.name


def _of_pod(facts: Facts, pod: Key) -> Iterator[ObjectRef]:
    manifest = facts.pods.get(pod)
    if manifest is None:
        yield from _of_namespace(facts, pod.namespace)
        return
    labels = manifest["metadata"].get("labels", {})
    if LABEL_ENDPOINT in labels:
        endpoint = Key(pod.namespace, labels[LABEL_ENDPOINT])
        yield from (ObjectRef("InferenceEndpoint", *endpoint), *_adapters_of(facts, endpoint))
    if labels.get(LABEL_INSPECTED_KIND) in USER_KINDS:
        yield ObjectRef(labels[LABEL_INSPECTED_KIND], pod.namespace, labels[LABEL_INSPECTED_NAME])


def _unscheduled(facts: Facts) -> Iterator[ObjectRef]:
    """Endpoints with pods that may still look for a node."""
    for key, endpoint in facts.endpoints.items():
        if any(r.state == "Progressing" for r in endpoint.status.revisions):
            yield ObjectRef("InferenceEndpoint", *key)


def _of_child(facts: Facts, ref: ObjectRef) -> Iterable[ObjectRef]:
    """Its owner; of a Role also adapters that wait until agents may read a Secret."""
    manifest = facts.children.get(ref)
    if manifest is None:
        return _of_namespace(facts, ref.namespace)
    owners = manifest["metadata"].get("ownerReferences") or ()
    found = [ObjectRef(o["kind"], ref.namespace, o["name"]) for o in owners if o["kind"] in USER_KINDS]
    if ref.kind == "Role":
        found.extend(r for o in owners for r in _unread(facts, Key(ref.namespace, o["name"])))
    return found


def _unread(facts: Facts, endpoint: Key) -> Iterator[ObjectRef]:
    known = facts.endpoints.get(endpoint)
    for key, adapter in facts.adapters.items():
        accepted = {e.version for e in adapter.status.versions if e.accepted is not None}
        if known and selects(known, adapter) and any(v.version not in accepted for v in adapter.spec.versions):
            yield ObjectRef("LoRAAdapter", *key)


def _of_namespace(facts: Facts, namespace: str) -> Iterator[ObjectRef]:
    """All that could have depended on something that is gone."""
    for kind, objects in (
        ("BaseModel", facts.base_models),
        ("LoRAAdapter", facts.adapters),
        ("InferenceEndpoint", facts.endpoints),
    ):
        yield from (ObjectRef(kind, *key) for key in objects if key.namespace == namespace)
