"""Which engines should answer for a version of an adapter: those that requests go to and that are told to hold it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tunefleet.api.inference_endpoint import InferenceEndpoint, RevisionState
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.adapters_api import AdapterState

from .asked import asked
from .assignments import carrying
from .facts import Facts, Key
from .holdings import holdings, leaving_seconds, serving_name, sleeps
from .observed import EnginePod, observed_revisions, pods_by_state
from .same_facts import SameFacts, Timed
from .selection import carrying_endpoints, selected_adapters
from .versions import entry_of

Carrying = Mapping[str, set[Key]]
"""By engine name, the pods of an endpoint that shall hold it."""

PREFERRED: tuple[RevisionState, ...] = ("Serving", "Warm")
"""Warm revisions answer where no serving one runs the version's base version."""

_KEPT: SameFacts[Carrying] = SameFacts()


def carriers(
    facts: Facts, adapter: LoRAAdapter, version: int, name: str | None, now: datetime
) -> tuple[EnginePod, ...]:
    """Living pods, ready or not, of the revisions that answer for this version and place it under this engine name.

    A pod that has no slot for it, or too low a rank, does not count: what shall not hold it must not keep the others
    from answering.
    """
    entry = entry_of(adapter.status.versions, version)
    if entry is None or entry.base_model_version is None or sleeps(adapter):
        return ()
    endpoints = carrying_endpoints(facts, adapter)
    found = [
        tuple(p for e in endpoints for p in _able(facts, adapter, e, entry.base_model_version, state, name, now))
        for state in PREFERRED
    ]
    answering = (pods for pods in found if any(pod.ready for pod in pods))
    return next(answering, None) or next((pods for pods in found if pods), ())


def _able(
    facts: Facts,
    adapter: LoRAAdapter,
    endpoint: InferenceEndpoint,
    base_version: int,
    state: RevisionState,
    name: str | None,
    now: datetime,
) -> Sequence[EnginePod]:
    """Of what answers already the pods that were told; for all else it has to be worked out who will be."""
    pods = pods_by_state(facts, endpoint, base_version, state)
    if not pods or name is None:
        return pods
    if name == serving_name(adapter) and any(_told(pod, name) for pod in pods):
        return [pod for pod in pods if _told(pod, name) or (pod.ready and pod.report is None)]
    able = _carrying(facts, adapter, endpoint, now).get(name, ())
    return [pod for pod in pods if pod.pod.key in able]


def _told(pod: EnginePod, name: str) -> bool:
    return pod.states.get(name, AdapterState.DRAINING) is not AdapterState.DRAINING


def _carrying(facts: Facts, adapter: LoRAAdapter, endpoint: InferenceEndpoint, now: datetime) -> Carrying:
    """`adapter` counts as it is given, the others as in the facts: mostly the same, and everybody's answer."""
    known = facts.adapters.get(Key(adapter.metadata.namespace, adapter.metadata.name))
    if known is None or holdings(known, now) != holdings(adapter, now):
        selected = selected_adapters(facts, endpoint)
        return _placed(facts, [adapter if _same(adapter, other) else other for other in selected], endpoint, now)

    def compute() -> Timed[Carrying]:
        selected = selected_adapters(facts, endpoint)
        leaving = (leaving_seconds(one, now) for one in selected)
        until = min((seconds for seconds in leaving if seconds is not None), default=None)
        return Timed(_placed(facts, selected, endpoint, now), until)

    return _KEPT.ask(facts, Key(endpoint.metadata.namespace, endpoint.metadata.name), now, compute)


def _placed(facts: Facts, adapters: Iterable[LoRAAdapter], endpoint: InferenceEndpoint, now: datetime) -> Carrying:
    held = [holding for adapter in adapters for holding in holdings(adapter, now)]
    demand = asked(facts.gateways.values())
    found: dict[str, set[Key]] = {}
    for revision in observed_revisions(facts, endpoint):
        for name, pods in carrying(revision, held, demand).items():
            found.setdefault(name, set()).update(pods)
    return found


def _same(one: LoRAAdapter, other: LoRAAdapter) -> bool:
    return one.metadata.name == other.metadata.name
