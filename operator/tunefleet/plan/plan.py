"""What a decision asks for. `execute` performs it in the order of the fields; every part is idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tunefleet.api.conditions import Reason
from tunefleet.engine.adapters_api import DesiredAdapter

from .facts import InspectionRequest, Key, Manifest, ObjectRef

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class Deletion:
    """An object to delete in the background, and only while it still has this uid."""

    ref: ObjectRef
    uid: str


@dataclass(frozen=True)
class StatusPatch:
    """The whole status that an object of ours shall have (a field left out is taken away)."""

    ref: ObjectRef
    status: Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """An Event about one of the three kinds; planned only together with the status change that it tells of."""

    ref: ObjectRef
    uid: str
    type: EventType
    reason: Reason
    message: str


@dataclass(frozen=True)
class Plan:
    """Deletes, applies, agents' orders, then statuses and Events. Equal facts give an equal plan."""

    delete: tuple[Deletion, ...] = ()
    apply: tuple[Manifest, ...] = ()
    """Whole manifests for server-side apply, only those that differ from what stands."""
    assignments: Mapping[Key, tuple[DesiredAdapter, ...]] = field(default_factory=dict)
    """By pod: the whole set its agent shall hold, only where its report says that it holds another."""
    inspections: Mapping[InspectionRequest, Key] = field(default_factory=dict)
    """Questions to ask, and of which pod's agent."""
    statuses: tuple[StatusPatch, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    """Seconds until the decision may differ without any event."""
    why: tuple[str, ...] = ()
    """Sentences for the log, one a planned action."""

    @property
    def empty(self) -> bool:
        """Nothing to do now."""
        return not (self.delete or self.apply or self.assignments or self.inspections or self.statuses or self.events)
