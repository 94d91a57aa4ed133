"""Adapters that keep a revision alive: clients use them, and no other serving revision holds them."""

from collections.abc import Iterable, Sequence

from tunefleet.api.lora_adapter import LoRAAdapter

from .holdings import serving_name
from .observed import ObservedRevision
from .versions import entry_of


def pinning_adapters(
    revision: ObservedRevision, serving: Sequence[ObservedRevision], adapters: Iterable[LoRAAdapter]
) -> tuple[str, ...]:
    """Names of adapters whose serving version would answer nowhere without this revision, sorted.

    `serving`: the revisions that serve, this one or not.

    A base version that moved on while an adapter is still pinned to the former one is the ordinary case. An agent that
    does not answer counts as holding what it may hold: no data, no removal.
    """
    if revision.parameters is None:
        return ()
    version = revision.parameters.fixed.base_version
    others = [r for r in serving if r.name != revision.name]
    pinned = (adapter for adapter in adapters if serving_base_version(adapter) == version)
    return tuple(sorted(adapter.metadata.name for adapter in pinned if _needs(adapter, revision, others)))


def _needs(adapter: LoRAAdapter, revision: ObservedRevision, others: Sequence[ObservedRevision]) -> bool:
    """One that may sleep is held by nobody at times, and needs somebody who can hold it when it wakes."""
    name = serving_name(adapter)
    if name is None:
        return False
    if adapter.spec.loading.min_replicas == 0 and _base(revision) not in {_base(other) for other in others}:
        return True
    return _may_hold(revision, name) and not _held(others, name)


def _base(revision: ObservedRevision) -> int | None:
    return revision.parameters.fixed.base_version if revision.parameters else None


def serving_base_version(adapter: LoRAAdapter) -> int | None:
    """The base version that the version which answers is pinned to."""
    serving = adapter.status.serving_version
    entry = entry_of(adapter.status.versions, serving) if serving is not None else None
    return entry.base_model_version if entry else None


def _may_hold(revision: ObservedRevision, engine_name: str) -> bool:
    return any(pod.report is None or engine_name in pod.states for pod in revision.pods)


def _held(others: Iterable[ObservedRevision], engine_name: str) -> bool:
    return any(pod.holds(engine_name) for r in others for pod in r.pods)
