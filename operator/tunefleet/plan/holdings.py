"""Which versions of an adapter engines shall hold, and for what."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from tunefleet.api.lora_adapter import LoRAAdapter, LoRAAdapterVersionStatus
from tunefleet.api.names import engine_name
from tunefleet.engine.adapters_api import DesiredAdapter

from .facts import Key
from .per_object import per_object
from .served_names import Seniority, seniority
from .times import seconds_since
from .version_history import serving_changes
from .versions import claim_of, entry_of

LEAVING_SECONDS = 30
"""A version that left traffic stays loaded this long: a gateway may still send by an older table."""


class Need(IntEnum):
    """Why a version is held; where room is short, the lower number goes first."""

    SERVING = 0
    LEAVING = 1
    ACTIVE = 2
    WARM = 3


@dataclass(frozen=True)
class Holding:
    """One version that engines of its base version shall hold."""

    adapter: Key
    seniority: Seniority
    version: int
    base_version: int
    need: Need
    desired: DesiredAdapter
    copies: int = 1
    """Engines that it must be on, as far as there are so many."""

    @property
    def claim(self) -> str | None:
        """The PersistentVolumeClaim that its files are on."""
        return claim_of(self.desired.uri)

    @property
    def precedence(self) -> tuple[Need, Seniority, int]:
        """Sorts what must be held before what may be."""
        return (self.need, self.seniority, -self.version)


def holdings(adapter: LoRAAdapter, now: datetime) -> tuple[Holding, ...]:
    """Accepted versions that shall be loaded, most needed first, each once; none while it sleeps."""
    if sleeps(adapter):
        return ()
    leaving = _leaving(adapter, now)
    return _holdings(adapter, leaving) if leaving else _lasting(adapter)


def sleeps(adapter: LoRAAdapter) -> bool:
    """Nobody asked for it for a while, so nothing of it is loaded. One that may not sleep any more does not."""
    return adapter.status.asleep_since is not None and adapter.spec.loading.min_replicas == 0


def target_name(adapter: LoRAAdapter) -> str | None:
    """Engine name of the active version; None until it is accepted."""
    entry = entry_of(adapter.status.versions, adapter.spec.active_version)
    if entry is None or not entry.accepted or entry.digest is None:
        return None
    return engine_name(adapter.served_name, entry.version, entry.digest)


def serving_name(adapter: LoRAAdapter) -> str | None:
    """Engine name that clients are answered by; it outlives a change of servedModelName until the new one is loaded."""
    return next((t.engine_name for t in adapter.status.traffic if t.version == adapter.status.serving_version), None)


def former_versions(adapter: LoRAAdapter) -> Iterator[int]:
    """Versions that served before, latest first, each once, without the serving and the active one."""
    seen = {adapter.status.serving_version, adapter.spec.active_version}
    for transition in serving_changes(reversed(adapter.status.history)):
        former = transition.from_version
        if former is not None and former not in seen:
            seen.add(former)
            yield former


def leaving_seconds(adapter: LoRAAdapter, now: datetime) -> float | None:
    """Seconds until the next of the versions that left traffic may be unloaded; None when all may."""
    left = (LEAVING_SECONDS - seconds_since(transition.time, now) for transition in adapter.status.history)
    return min((seconds for seconds in left if seconds > 0), default=None)


@per_object
def _lasting(adapter: LoRAAdapter) -> tuple[Holding, ...]:
    """With nothing that left traffic a moment ago: the same at any time."""
    return _holdings(adapter, ())


def _holdings(adapter: LoRAAdapter, leaving: Iterable[int]) -> tuple[Holding, ...]:
    found: dict[str, Holding] = {}
    for version, need, name in _wanted(adapter, leaving):
        holding = _holding(adapter, version, need, name)
        if holding:
            found.setdefault(holding.desired.engine_name, holding)
    return tuple(found.values())


def _wanted(adapter: LoRAAdapter, leaving: Iterable[int]) -> Iterator[tuple[int, Need, str | None]]:
    serving = adapter.status.serving_version
    if serving is not None:
        yield serving, Need.SERVING, serving_name(adapter)
    for share in adapter.status.traffic:
        yield share.version, Need.SERVING, share.engine_name
    for version in leaving:
        yield version, Need.LEAVING, None
    yield adapter.spec.active_version, Need.ACTIVE, None
    for count, version in enumerate(former_versions(adapter)):
        if count < adapter.spec.keep_warm:
            yield version, Need.WARM, None


def _leaving(adapter: LoRAAdapter, now: datetime) -> list[int]:
    recent = (t for t in adapter.status.history if seconds_since(t.time, now) < LEAVING_SECONDS)
    return [t.from_version for t in recent if t.from_version is not None]


def _holding(adapter: LoRAAdapter, version: int, need: Need, name: str | None) -> Holding | None:
    entry = entry_of(adapter.status.versions, version)
    if entry is None or not entry.accepted:
        return None
    desired = _desired(adapter, entry, name)
    if desired is None or entry.base_model_version is None:
        return None
    return Holding(
        adapter=Key(adapter.metadata.namespace, adapter.metadata.name),
        seniority=seniority(adapter),
        version=version,
        base_version=entry.base_model_version,
        need=need,
        desired=desired,
        copies=max(1, adapter.spec.loading.min_replicas),
    )


def _desired(adapter: LoRAAdapter, entry: LoRAAdapterVersionStatus, name: str | None) -> DesiredAdapter | None:
    listed = next((v for v in adapter.spec.versions if v.version == entry.version), None)
    uri = entry.resolved_uri or (listed.source.uri if listed else None)
    if uri is None or entry.digest is None or entry.rank is None:
        return None
    secret = listed.source.secret_ref if listed else None
    return DesiredAdapter(
        engine_name=name or engine_name(adapter.served_name, entry.version, entry.digest),
        uri=uri,
        digest=entry.digest,
        rank=entry.rank,
        secret_name=secret.name if secret else None,
        fingerprints=entry.fingerprints,
    )
