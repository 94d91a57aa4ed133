"""The conditions of an object, by one rule for all kinds.

Ready       True: what is routed answers. Unknown: work is under way. False: broken, nobody is answered.
Reconciling present and True while the spec is not reached yet and waiting helps.
Stalled     present and True when only a change by somebody can help.
RolledBack  present and True when a canary was taken back.
FallbackReady present where an endpoint has a fallback; Ready does not depend on it.

An object whose *new* version is refused while the former one serves is Ready=True (clients are answered, nobody is
to be woken) and Stalled=True with the refusal: kstatus, Helm and Argo CD call that failed, a pager on Ready does not.
docs/design/reconciliation.md has the whole table and its reasons.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.conditions import Condition, ConditionType, Reason, Status, set_condition

from .finding import Finding
from .times import rfc3339

_ORDER = tuple(ConditionType)


@dataclass(frozen=True)
class Summary:
    """How an object stands."""

    ready: Status
    finding: Finding
    """Reason and sentence of Ready."""
    reconciling: Finding | None = None
    stalled: Finding | None = None


class Hope(StrEnum):
    """What becomes of an obstacle by waiting."""

    WORKING = "working"
    """It goes away by itself: work is under way."""
    FAILING = "failing"
    """It is being retried, and goes away when its cause does."""
    REFUSED = "refused"
    """Only a change by somebody helps."""


@dataclass(frozen=True)
class Obstacle:
    """What stands between an object and its spec."""

    hope: Hope
    finding: Finding


def working(reason: Reason, message: str) -> Obstacle:
    """Under way."""
    return Obstacle(Hope.WORKING, Finding(reason, message))


def failing(finding: Finding) -> Obstacle:
    """Broken, and retried."""
    return Obstacle(Hope.FAILING, finding)


def refused(reason: Reason, message: str) -> Obstacle:
    """Broken until somebody changes something."""
    return Obstacle(Hope.REFUSED, Finding(reason, message))


def summarize(obstacle: Obstacle | None, answered: Finding | None) -> Summary:
    """`answered`: reason and sentence of what clients are answered with now, None when with nothing.

    Raises ValueError when nothing is answered and nothing stands in the way: a decider forgot a case.
    """
    if obstacle is None:
        if answered is None:
            raise ValueError("neither answered nor any obstacle")
        return Summary("True", answered)
    if obstacle.hope is Hope.REFUSED:
        if answered:
            return Summary("True", answered, stalled=obstacle.finding)
        return Summary("False", obstacle.finding, stalled=obstacle.finding)
    broken = obstacle.hope is Hope.FAILING and not answered
    return Summary("False" if broken else "Unknown", obstacle.finding, reconciling=obstacle.finding)


def conditions(
    existing: tuple[Condition, ...],
    summary: Summary,
    *,
    generation: int,
    now: datetime,
    rolled_back: Finding | None = None,
    fallback: tuple[Status, Finding] | None = None,
) -> tuple[Condition, ...]:
    """The conditions in a fixed order, so that equal statuses are equal; absent ones were not True."""
    wanted: dict[ConditionType, tuple[Status, Finding]] = {ConditionType.READY: (summary.ready, summary.finding)}
    if summary.reconciling:
        wanted[ConditionType.RECONCILING] = ("True", summary.reconciling)
    if summary.stalled:
        wanted[ConditionType.STALLED] = ("True", summary.stalled)
    if rolled_back:
        wanted[ConditionType.ROLLED_BACK] = ("True", rolled_back)
    if fallback:
        wanted[ConditionType.FALLBACK_READY] = fallback
    result = existing
    for type_, (status, finding) in wanted.items():
        message = finding.message[:MAX_MESSAGE]
        result = set_condition(result, type_, status, finding.reason, message, generation=generation, now=rfc3339(now))
    by_type = {c.type: c for c in result}
    return tuple(by_type[type_] for type_ in _ORDER if type_ in wanted)
