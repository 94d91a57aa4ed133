"""Which engines should answer for a version of an adapter: those that requests go to and that can hold it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from tunefleet.api.inference_endpoint import InferenceEndpoint, RevisionState
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import LABEL_REVISION

from .assignments import assigned
from .facts import Facts
from .holdings import holdings
from .observed import EnginePod, observed_revisions, pods_by_state
from .selection import carrying_endpoints, selected_adapters
from .versions import entry_of

PREFERRED: tuple[RevisionState, ...] = ("Serving", "Warm")
"""Warm revisions answer where no serving one runs the version's base version."""


def carriers(
    facts: Facts, adapter: LoRAAdapter, version: int, name: str | None, now: datetime
) -> tuple[EnginePod, ...]:
    """Living pods, ready or not, of the revisions that answer for this version under this engine name.

    A revision that has no slot for it, or too low a rank, does not count: what cannot hold it must not keep the others
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
    """Looked at closely only where some agent says that it does not hold the version."""
    pods = pods_by_state(facts, endpoint, base_version, state)
    lacking = {_revision(pod) for pod in pods if name and pod.report is not None and not pod.holds(name)}
    if not lacking:
        return pods
    unable = lacking - set(_assigning(facts, adapter, endpoint, name, now))
    return [pod for pod in pods if _revision(pod) not in unable or (name and pod.holds(name))]


def _assigning(
    facts: Facts, adapter: LoRAAdapter, endpoint: InferenceEndpoint, name: str | None, now: datetime
) -> Iterable[str]:
    """Revisions whose engines are told to hold this version."""
    selected = (adapter if _same(adapter, other) else other for other in selected_adapters(facts, endpoint))
    held = [holding for one in selected for holding in holdings(one, now)]
    for revision in observed_revisions(facts, endpoint):
        if revision.parameters and name in {d.engine_name for d in assigned(revision.parameters, held)}:
            yield revision.name


def _same(one: LoRAAdapter, other: LoRAAdapter) -> bool:
    return one.metadata.name == other.metadata.name


def _revision(pod: EnginePod) -> str:
    return pod.pod.labels.get(LABEL_REVISION, "")
