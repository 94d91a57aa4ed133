"""The actions of several readings as one decision."""

from collections.abc import Iterable

from .decision import Decision
from .facts import InspectionRequest, Key
from .inspection import Reading, Subject
from .plan import Event, StatusPatch


def combined(
    readings: Iterable[tuple[Subject, Reading]],
    *,
    statuses: tuple[StatusPatch, ...],
    events: tuple[Event, ...],
) -> Decision:
    """Jobs, deletions and questions, each once; two versions at one place are one question."""
    taken = list(readings)
    questions: dict[InspectionRequest, Key] = {s.request: r.ask for s, r in taken if r.ask is not None}
    times = [r.requeue_after for _, r in taken if r.requeue_after is not None]
    return Decision(
        children=tuple({r.job.name: r.job for _, r in taken if r.job is not None}.values()),
        delete=tuple({r.delete.ref: r.delete for _, r in taken if r.delete is not None}.values()),
        inspections=questions,
        statuses=statuses,
        events=events,
        requeue_after=min(times, default=None),
    )
