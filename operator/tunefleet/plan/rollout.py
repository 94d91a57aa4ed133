"""How one revision of an endpoint takes over from another, and how long the former one stays.

| State | Trigger | Next |
|---|---|---|
| Progressing | READY | Serving |
| Progressing | ABANDONED | Gone |
| Serving | REPLACED | Warm |
| Warm | READY | Serving |
| Warm | WANTED | Progressing |
| Warm | NEEDED | Serving |
| Warm | EXPIRED | Draining |
| Draining | READY | Serving |
| Draining | WANTED | Progressing |
| Draining | NEEDED | Serving |
| Draining | PINNED | Warm |
| Draining | EXPIRED | Gone |

READY: it is the wanted one and can take the traffic. WANTED: it is the wanted one and cannot yet. ABANDONED: it never
served and is not wanted any more. REPLACED: another one serves from now on, and does not need it beside. NEEDED:
nothing else answers, and it does. PINNED: an adapter that clients use is on no other base version's pods; such a
revision does not run out of being Warm either. EXPIRED: its time in this state is over, or MAX_WARM later ones are
Warm. A revision without any trigger stays as it is; in particular a Serving one stays until another is READY, so an
endpoint never goes from something to nothing.
`tests/plan/test_rollout.py` compares this table with TRANSITIONS.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tunefleet.api.inference_endpoint import RevisionState

from .times import parse_time, rfc3339, seconds_since

DRAIN_SECONDS = 30
"""Out of routing before it is deleted: gateways stop sending within a watch's delay, streams have this long to end."""

MAX_WARM = 6
"""Former revisions that are kept at once, however often the spec changes within keepWarm: each holds accelerators."""


class Trigger(StrEnum):
    """What can move a revision on."""

    READY = "READY"
    WANTED = "WANTED"
    ABANDONED = "ABANDONED"
    REPLACED = "REPLACED"
    NEEDED = "NEEDED"
    PINNED = "PINNED"
    EXPIRED = "EXPIRED"


TRANSITIONS: dict[tuple[RevisionState, Trigger], RevisionState | None] = {
    ("Progressing", Trigger.READY): "Serving",
    ("Progressing", Trigger.ABANDONED): None,
    ("Serving", Trigger.REPLACED): "Warm",
    ("Warm", Trigger.READY): "Serving",
    ("Warm", Trigger.WANTED): "Progressing",
    ("Warm", Trigger.NEEDED): "Serving",
    ("Warm", Trigger.EXPIRED): "Draining",
    ("Draining", Trigger.READY): "Serving",
    ("Draining", Trigger.WANTED): "Progressing",
    ("Draining", Trigger.NEEDED): "Serving",
    ("Draining", Trigger.PINNED): "Warm",
    ("Draining", Trigger.EXPIRED): None,
}
"""None: its Deployment is deleted."""


@dataclass(frozen=True)
class Candidate:
    """What the rollout has to know of one revision."""

    name: str
    state: RevisionState | None
    """None: it stands, and the status does not know it."""
    since: str
    can_serve: bool
    """It could take the endpoint's traffic over from another one."""
    answers: bool
    """At least one pod is ready."""
    pinned: bool = False
    """An adapter that clients use is on no other base version's pods."""


@dataclass(frozen=True)
class Step:
    """Where a revision goes; `state` None: away."""

    name: str
    state: RevisionState | None
    since: str


def advance(
    candidates: Sequence[Candidate],
    wanted: str | None,
    keep_warm: float,
    now: datetime,
    beside: Collection[str] = (),
) -> tuple[Step, ...]:
    """The next state of every revision, all at one moment: taking over and stepping back are one write.

    `wanted` None: the spec names nothing that could run, so what stands stays. `beside`: Serving revisions that go on
    serving whoever else does, see `plan.surge`.
    """
    known = [_known(c, wanted, now) for c in candidates]
    server = _server(known, wanted)
    limits = _limits(known, keep_warm)
    servers = {server, *beside}
    return tuple(_step(c, _trigger(c, wanted, servers, limits, now), now) for c in known)


def expiry(steps: Sequence[Step], keep_warm: float, now: datetime) -> float | None:
    """Seconds until the next revision's time is over; None when none is running out."""
    limits = {"Warm": keep_warm, "Draining": DRAIN_SECONDS}
    left = [
        limits[s.state] - (now - parse_time(s.since)).total_seconds() for s in steps if s.state in ("Warm", "Draining")
    ]
    return min((seconds for seconds in left if seconds > 0), default=None)


def _known(candidate: Candidate, wanted: str | None, now: datetime) -> Candidate:
    """A revision that the status lost: the wanted one starts over, another one keeps its pods for a while."""
    if candidate.state is not None:
        return candidate
    state: RevisionState = "Progressing" if candidate.name == wanted else "Warm"
    return Candidate(candidate.name, state, rfc3339(now), candidate.can_serve, candidate.answers, candidate.pinned)


def _server(candidates: Sequence[Candidate], wanted: str | None) -> str | None:
    """The revision that serves from now on: the wanted one if it can, else the one that does, else any that answers."""
    for c in candidates:
        if c.name == wanted and (c.can_serve or c.state == "Serving"):
            return c.name
    serving = [c for c in candidates if c.state == "Serving"]
    answering = [c for c in (*serving, *_by_hope(candidates)) if c.answers]
    return next((c.name for c in (*answering, *serving)), None)


def _by_hope(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Warm ones before Draining ones, the latest first."""
    idle = [c for c in candidates if c.state in ("Warm", "Draining")]
    latest = sorted(idle, key=lambda c: (c.since, c.name), reverse=True)
    return sorted(latest, key=lambda c: c.state != "Warm")


def _limits(candidates: Sequence[Candidate], keep_warm: float) -> dict[str, float]:
    """By name, the seconds that a revision may stay as it is."""
    latest = [c.name for c in _by_hope(candidates) if c.state == "Warm" and not c.pinned]
    return {c.name: keep_warm if c.name in latest[:MAX_WARM] else 0 for c in candidates if c.state == "Warm"}


def _trigger(
    candidate: Candidate, wanted: str | None, servers: Collection[str | None], limits: dict[str, float], now: datetime
) -> Trigger | None:
    if candidate.state == "Serving":
        return Trigger.REPLACED if candidate.name not in servers else None
    if candidate.name == wanted:
        return _trigger_of_wanted(candidate, servers)
    if candidate.name in servers:
        return Trigger.NEEDED
    if candidate.state == "Progressing":
        return Trigger.ABANDONED if wanted is not None else None
    if candidate.pinned:
        return Trigger.PINNED if candidate.state == "Draining" else None
    limit = limits.get(candidate.name, DRAIN_SECONDS)
    return Trigger.EXPIRED if seconds_since(candidate.since, now) >= limit else None


def _trigger_of_wanted(candidate: Candidate, servers: Collection[str | None]) -> Trigger | None:
    if candidate.name in servers:
        return Trigger.READY
    return None if candidate.state == "Progressing" else Trigger.WANTED


def _step(candidate: Candidate, trigger: Trigger | None, now: datetime) -> Step:
    state = candidate.state
    if trigger is None or state is None:
        return Step(candidate.name, state, candidate.since)
    return Step(candidate.name, TRANSITIONS[(state, trigger)], rfc3339(now))
