"""Which engines should answer for a version of an adapter: those that requests go to and that are told to hold it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tunefleet.api.inference_endpoint import InferenceEndpoint, RevisionState
from tunefleet.api.lora_adapter import LoRAAdapter

from .asked import asked
from .assignments import carrying
from .facts import Facts, Key
from .holdings import holdings
from .observed import EnginePod, observed_revisions, pods_by_state
from .selection import carrying_endpoints, selected_adapters
from .versions import entry_of

PREFERRED: tuple[RevisionState, ...] = ("Serving", "Warm")
"""Warm revisions answer where no serving one runs the version's base version."""


def carriers(
    facts: Facts, adapter: LoRAAdapter, version: int, name: str | None, now: datetime
) -> tuple[EnginePod, ...]:
    """Living pods, ready or not, of the revisions that answer for this version and place it under this engine name.

    A pod that has no slot for it, or too low a rank, does not count: what shall not hold it must not keep the others
    from answering.
    """
    entry = entry_of(adapter.status.versions, version)
    if entry is None or entry.base_model_version is None:
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
    pods = pods_by_state(facts, endpoint, base_version, state)
    if not pods or name is None:
        return pods
    able = _carrying(facts, adapter, endpoint, now).get(name, ())
    return [pod for pod in pods if pod.pod.key in able]


def _carrying(facts: Facts, adapter: LoRAAdapter, endpoint: InferenceEndpoint, now: datetime) -> Mapping[str, set[Key]]:
    """By engine name, the endpoint's pods that place it. `adapter` counts as it is given, the others as in the facts;
    when that is the same, the answer is kept with the facts for the next one who asks."""
    known = facts.adapters.get(Key(adapter.metadata.namespace, adapter.metadata.name))
    if known is None or holdings(known, now) != holdings(adapter, now):
        return _placed(facts, adapter, endpoint, now)
    question = ("carrying", endpoint.metadata.namespace, endpoint.metadata.name, now)
    if question not in facts.kept:
        facts.kept[question] = _placed(facts, known, endpoint, now)
    answer: Mapping[str, set[Key]] = facts.kept[question]
    return answer


def _placed(facts: Facts, adapter: LoRAAdapter, endpoint: InferenceEndpoint, now: datetime) -> Mapping[str, set[Key]]:
    selected = (adapter if _same(adapter, other) else other for other in selected_adapters(facts, endpoint))
    held = [holding for one in selected for holding in holdings(one, now)]
    demand = asked(facts.gateways.values())
    found: dict[str, set[Key]] = {}
    for revision in observed_revisions(facts, endpoint):
        for name, pods in carrying(revision, held, demand).items():
            found.setdefault(name, set()).update(pods)
    return found


def _same(one: LoRAAdapter, other: LoRAAdapter) -> bool:
    return one.metadata.name == other.metadata.name
