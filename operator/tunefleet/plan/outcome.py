"""The last step of every decision: the status if it differs, and Events for what changed with it."""

from collections.abc import Iterator

from tunefleet.api.common import ObjectMeta, ObjectStatus
from tunefleet.api.conditions import Condition, ConditionType, Reason

from .facts import ObjectRef
from .plan import Event, EventType, StatusPatch

UNEVENTFUL = frozenset(
    {
        Reason.SERVING,
        Reason.ACCEPTED,
        Reason.SCALED_TO_ZERO,
        Reason.INSPECTING,
        Reason.WAITING_FOR_BASE,
        Reason.NO_ENDPOINT,
        Reason.LOADING,
        Reason.PROGRESSING,
        Reason.CANARY,
        Reason.PAUSED,
        Reason.RESOLVED,
    }
)
"""Reasons that nobody has to act on."""


def status_patches(ref: ObjectRef, former: ObjectStatus, latest: ObjectStatus) -> tuple[StatusPatch, ...]:
    """The whole status when anything in it changed."""
    status = latest.dump()
    return () if status == former.dump() else (StatusPatch(ref, status),)


def condition_events(ref: ObjectRef, meta: ObjectMeta, former: ObjectStatus, latest: ObjectStatus) -> tuple[Event, ...]:
    """One Event for each condition whose status or reason is new; the same news is told once."""
    told: dict[tuple[Reason, str], Event] = {}
    for condition in _changed(former.conditions, latest.conditions):
        event = Event(ref, meta.uid, _severity(condition), condition.reason, condition.message)
        told.setdefault((event.reason, event.message), event)
    return tuple(told.values())


def _changed(former: tuple[Condition, ...], latest: tuple[Condition, ...]) -> Iterator[Condition]:
    known = {(c.type, c.status, c.reason) for c in former}
    yield from (c for c in latest if (c.type, c.status, c.reason) not in known)


def _severity(condition: Condition) -> EventType:
    broken = condition.type is ConditionType.READY and condition.status == "False"
    return "Warning" if broken or condition.reason not in UNEVENTFUL else "Normal"
