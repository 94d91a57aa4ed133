"""Adapters that another base version would leave behind: clients use them, and they are pinned to the present one.

Base and adapters are served as a unit, so an endpoint moves to another base version only together with them. What a
move would strand keeps the endpoint where it is, until each such adapter has an accepted active version for the new
base, or `rollout.allowOrphans` says that the former revision's pods shall stay for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter

from .facts import Facts
from .pinning import serving_base_version
from .selection import carrying_endpoints, selected_adapters
from .summary import Obstacle, refused
from .versions import entry_of

NAMED = 5
"""Adapters that a message names."""


@dataclass(frozen=True)
class Orphans:
    """Adapters that stand between an endpoint and a base version, by name."""

    stranded: tuple[str, ...] = ()
    """Nothing is on its way for them: the endpoint does not begin to move."""
    unread: tuple[str, ...] = ()
    """Their active version is for the new base, and still being read: pods may start, traffic waits."""


def orphans(facts: Facts, endpoint: InferenceEndpoint, version: int) -> Orphans:
    """Who would be left behind if the endpoint moved to this version of its base."""
    present = serving_base(endpoint)
    if endpoint.spec.rollout.allow_orphans or present in (None, version):
        return Orphans()
    left = [
        adapter
        for adapter in selected_adapters(facts, endpoint)
        if serving_base_version(adapter) == present and not _served_elsewhere(facts, endpoint, adapter, present)
    ]
    promised = {a.metadata.name: _promised(a, version) for a in left}
    return Orphans(
        stranded=tuple(sorted(name for name, accepted in promised.items() if accepted is False)),
        unread=tuple(sorted(name for name, accepted in promised.items() if accepted is None)),
    )


def serving_base(endpoint: InferenceEndpoint) -> int | None:
    """The base version that answers, as the status has it."""
    return next((r.base_model_version for r in endpoint.status.revisions if r.state == "Serving"), None)


def would_orphan(version: int, present: int | None, names: tuple[str, ...]) -> Obstacle:
    """Why the endpoint stays where it is."""
    one = len(names) == 1
    return refused(
        Reason.WOULD_ORPHAN,
        f"base version {version} would leave {listed(names)} without an engine, pinned to base version {present}: "
        f"activate {'a version of it that is' if one else 'versions of them that are'} for base version {version}, "
        "or set rollout.allowOrphans",
    )


def listed(names: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def _served_elsewhere(facts: Facts, endpoint: InferenceEndpoint, adapter: LoRAAdapter, present: int | None) -> bool:
    """Another endpoint answers for it, and stays at this base version."""
    return any(
        other.spec.model.version == present and serving_base(other) == present
        for other in carrying_endpoints(facts, adapter)
        if other.metadata.name != endpoint.metadata.name
    )


def _promised(adapter: LoRAAdapter, base_version: int) -> bool | None:
    """Its active version is for this base version: accepted, refused (or for another one), or not read yet (None)."""
    active = next((v for v in adapter.spec.versions if v.version == adapter.spec.active_version), None)
    if active is None or active.base_model_version != base_version:
        return False
    entry = entry_of(adapter.status.versions, active.version)
    return entry.accepted if entry else None
