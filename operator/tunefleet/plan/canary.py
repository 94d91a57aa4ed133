"""How an adapter's new version gets its traffic in steps, and what takes it back.

`canary_states.py` has the table, this file says when each of its triggers is due. Everything that a decision needs
stands in status.canary, so it does not matter which process takes it, nor how often.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from tunefleet.api.canary import AdapterRollout, CanaryStatus, CanaryStep

from .canary_analysis import Comparison, fault, look_due, sample_of, significance_of
from .canary_message import canary_message
from .canary_states import TRANSITIONS, Trigger
from .canonical import canonical_json
from .demand import LONG_POLL_SECONDS
from .times import parse_time, rfc3339, seconds_since

REWOUND_SECONDS = 60
"""A step that begins later than this from now was begun by a clock that has been put back since."""

_BEGINS_A_STEP = frozenset({Trigger.BEGUN, Trigger.STEP_OVER, Trigger.REWOUND, Trigger.FOUND})
_LOOKS = frozenset({Trigger.LOOKED, Trigger.WORSE})
_TAKES_OVER = frozenset({Trigger.LAST_STEP_OVER, Trigger.SKIPPED})


@dataclass(frozen=True)
class Scene:
    """What a canary has to know of its adapter."""

    active: int
    serving: int | None
    rollout: AdapterRollout
    ready: bool = False
    """Every engine that should answer for the active version holds it; the first is enough when nobody answers now."""
    held: bool | None = None
    """Some engine that answers holds the active version; None: not all that could have reported yet."""
    serving_answers: bool = True
    """Some engine holds the serving version."""
    counted: Mapping[str, Comparison] = field(default_factory=dict)
    """By the beginning of a step, what gateways counted in it."""


@dataclass(frozen=True)
class Passage:
    """One transition that was taken."""

    trigger: Trigger
    before: CanaryStatus | None
    """With the figures of this moment."""
    after: CanaryStatus | None


@dataclass(frozen=True)
class Course:
    """Where a canary has got to."""

    canary: CanaryStatus | None
    """For the status."""
    passed: tuple[Passage, ...] = ()
    """What happened on the way, in order."""

    @property
    def takes_over(self) -> bool:
        """The active version serves from now on."""
        return any(passage.trigger in _TAKES_OVER for passage in self.passed)


def advance(former: CanaryStatus | None, scene: Scene, now: datetime) -> Course:
    """All transitions that are due, as one write. Deciding again at the same moment takes none."""
    course = Course(former)
    begins = _beginning(former, now)
    while not course.takes_over and (trigger := _trigger(course.canary, scene, now)):
        after = _after(course.canary, trigger, scene, begins, now)
        course = Course(after, (*course.passed, Passage(trigger, _counted(course.canary, scene), after)))
    return replace(course, canary=_worded(course.canary, scene, now))


def requeue_after(canary: CanaryStatus | None, rollout: AdapterRollout, now: datetime) -> float | None:
    """Seconds until time alone may move it; with an analysis also until gateways have counted on."""
    if canary is None or canary.state not in ("Progressing", "Paused") or not _follows(canary, rollout):
        return None
    left = _left(canary, rollout, now)
    times = [LONG_POLL_SECONDS] if rollout.analysis else []
    if left > 0 and canary.state == "Progressing":
        times.append(left)
    return min(times, default=None)


def rollout_digest(rollout: AdapterRollout) -> str:
    """Of steps and analysis: pausing and skipping belong to a canary that runs, they are no other one."""
    told = canonical_json(rollout.model_dump(mode="json", include={"steps", "analysis"}))
    return sha256(told.encode()).hexdigest()[:16]


def _trigger(canary: CanaryStatus | None, scene: Scene, now: datetime) -> Trigger | None:
    if scene.active == scene.serving:
        return Trigger.ABORTED if canary else None
    if canary and canary.version != scene.active:
        return Trigger.SUPERSEDED
    if _at_once(scene):
        return Trigger.SKIPPED if scene.ready else None
    if canary is None:
        return Trigger.BEGUN if scene.ready else None
    if not _follows(canary, scene.rollout):
        return Trigger.CHANGED
    return _of_standing(canary, scene, now)


def _follows(canary: CanaryStatus, rollout: AdapterRollout) -> bool:
    """Otherwise its step is none of these."""
    return canary.rollout == rollout_digest(rollout)


def _at_once(scene: Scene) -> bool:
    """Going back takes no steps, however long ago it was that the version served: a roll-back is one patch. Going up
    again does, since whoever went back had a reason."""
    skipped = not scene.rollout.steps or scene.rollout.skip_steps_for == scene.active
    return scene.serving is None or scene.active < scene.serving or skipped


def _of_standing(canary: CanaryStatus, scene: Scene, now: datetime) -> Trigger | None:
    if canary.state == "RolledBack":
        return None
    if canary.state == "Waiting":
        return Trigger.FOUND if scene.held else None
    if scene.held is False:
        return Trigger.LOST
    paused = scene.rollout.paused or _step(canary, scene.rollout).duration_seconds is None
    if paused != (canary.state == "Paused"):
        return Trigger.PAUSED if paused else Trigger.RESUMED
    if canary.state == "Progressing" and (parse_time(canary.since) - now).total_seconds() > REWOUND_SECONDS:
        return Trigger.REWOUND
    return _of_figures(canary, scene, now)


def _of_figures(canary: CanaryStatus, scene: Scene, now: datetime) -> Trigger | None:
    """Nothing is taken back to a version that answers nowhere, and nothing that is worse goes on."""
    over = _over(canary, scene, now)
    found = _found(canary, scene, at_end=over)
    if found and scene.serving_answers:
        return Trigger.WORSE
    if over and not found:
        return Trigger.LAST_STEP_OVER if canary.step + 1 == len(scene.rollout.steps) else Trigger.STEP_OVER
    return Trigger.LOOKED if _look_due(canary, scene) else None


def _over(canary: CanaryStatus, scene: Scene, now: datetime) -> bool:
    last = canary.step + 1 == len(scene.rollout.steps)
    if canary.state != "Progressing" or _left(canary, scene.rollout, now) > 0:
        return False
    return _enough(canary, scene) and (scene.ready if last else bool(scene.held))


def _enough(canary: CanaryStatus, scene: Scene) -> bool:
    analysis, compared = scene.rollout.analysis, scene.counted.get(canary.since)
    return analysis is None or (compared is not None and compared.canary.requests >= analysis.min_requests)


def _look_due(canary: CanaryStatus, scene: Scene) -> bool:
    analysis, compared = scene.rollout.analysis, scene.counted.get(canary.since)
    if analysis is None or compared is None:
        return False
    return look_due(analysis, compared.canary.requests, canary.canary.requests if canary.canary else 0)


def _found(canary: CanaryStatus, scene: Scene, *, at_end: bool) -> str | None:
    """What a look finds to be worse than it may; None when it finds nothing, or when none is due."""
    analysis, compared = scene.rollout.analysis, scene.counted.get(canary.since)
    if analysis is None or compared is None or not (at_end or _look_due(canary, scene)):
        return None
    return fault(analysis, compared, significance_of(analysis, compared.canary.requests, at_end=at_end))


def _left(canary: CanaryStatus, rollout: AdapterRollout, now: datetime) -> float:
    """Seconds until the step's time is over; infinite where it has none."""
    duration = _step(canary, rollout).duration_seconds
    return float("inf") if duration is None else duration - seconds_since(canary.since, now)


def _step(canary: CanaryStatus, rollout: AdapterRollout) -> CanaryStep:
    return rollout.steps[canary.step]


def _beginning(former: CanaryStatus | None, now: datetime) -> str:
    """When a step begins that begins now: the next whole second, so that none is shorter than it should be, and never
    that of the step before, because gateways count by it."""
    begins = rfc3339(now + timedelta(microseconds=999_999))
    return rfc3339(parse_time(begins) + timedelta(seconds=1)) if former and former.since == begins else begins


def _counted(canary: CanaryStatus | None, scene: Scene) -> CanaryStatus | None:
    """With what was counted until now, if gateways have told."""
    compared = scene.counted.get(canary.since) if canary else None
    if canary is None or compared is None:
        return canary
    return canary.model_copy(update={"canary": sample_of(compared.canary), "stable": sample_of(compared.stable)})


def _after(
    canary: CanaryStatus | None, trigger: Trigger, scene: Scene, begins: str, now: datetime
) -> CanaryStatus | None:
    """Figures enter a status at looks alone: the next look is due by those of the last. A step begins without any."""
    state = TRANSITIONS[(canary.state if canary else None, trigger)]
    if state is None:
        return None
    if canary is None or trigger in _BEGINS_A_STEP:
        return _begun(_number(canary, trigger), scene, begins)
    changes: dict[str, object] = {"state": state}
    if trigger is Trigger.LOST:
        changes |= {"weight": 0}
    if trigger is Trigger.WORSE:
        changes |= {"weight": 0, "since": begins, "message": _found(canary, scene, at_end=_over(canary, scene, now))}
    told = _counted(canary, scene) if trigger in _LOOKS else canary
    return told.model_copy(update=changes) if told else None


def _number(canary: CanaryStatus | None, trigger: Trigger) -> int:
    if canary is None:
        return 0
    return canary.step + 1 if trigger is Trigger.STEP_OVER else canary.step


def _begun(step: int, scene: Scene, begins: str) -> CanaryStatus:
    return CanaryStatus(
        version=scene.active,
        state="Progressing",
        step=step,
        weight=scene.rollout.steps[step].weight,
        since=begins,
        rollout=rollout_digest(scene.rollout),
    )


def _worded(canary: CanaryStatus | None, scene: Scene, now: datetime) -> CanaryStatus | None:
    if canary is None or canary.state == "RolledBack" or not _follows(canary, scene.rollout):
        return canary
    overdue = canary.state == "Progressing" and _left(canary, scene.rollout, now) <= 0
    return canary.model_copy(update={"message": canary_message(canary, scene.rollout, overdue=overdue)})
