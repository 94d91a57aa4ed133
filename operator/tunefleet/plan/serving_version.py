"""When the served name of an adapter moves to another version.

It moves to the active version when every engine that should answer for it holds it: no request then meets an engine
that has to load first. If nobody is answered now, the first engine that holds it is enough. It never moves to anything
but the active version, so what answers is either what the spec says or what it said before. With rollout.steps, a
version that never served takes over in steps instead (`canary.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tunefleet.api.canary import CanaryStatus
from tunefleet.api.lora_adapter import MAX_HISTORY, Loaded, LoRAAdapter, Traffic, Transition

from .canary import Course, Passage, Scene, advance
from .canary_analysis import Comparison, total
from .canary_states import Trigger
from .carriers import carriers
from .demand import Trial
from .facts import Facts
from .holdings import serving_name, target_name
from .observed import EnginePod
from .version_history import (
    CANARY_ABORTED,
    CANARY_SUPERSEDED,
    CANARY_WORSE,
    PROMOTED,
    ROLLED_BACK,
    transition,
)


@dataclass(frozen=True)
class Serving:
    """What answers for the served name."""

    version: int | None
    traffic: tuple[Traffic, ...]
    history: tuple[Transition, ...]
    loaded: Loaded
    canary: CanaryStatus | None = None
    passed: tuple[Passage, ...] = ()
    """What happened to the canary now."""

    @property
    def answers(self) -> bool:
        """Some engine holds it now."""
        return self.loaded.ready > 0


def serving(facts: Facts, adapter: LoRAAdapter, now: datetime) -> Serving:
    """What answers from now on."""
    status, active, name = adapter.status, adapter.spec.active_version, target_name(adapter)
    ready = name is not None and _may_move(facts, adapter, name, now)
    course = Course(None)
    if status.canary or active != status.serving_version:
        course = advance(status.canary, _scene(facts, adapter, name, ready, now), now)
    history = (*status.history, *_departures(adapter, course.passed, now))
    version, answering = status.serving_version, serving_name(adapter)
    traffic = _shares(adapter, course.canary, name)
    if name is not None and ready and (course.takes_over or active == version):
        version, answering = active, name
        traffic = (Traffic(version=active, engine_name=name, weight=100),)
        history = (*history, *_change(adapter, now))
    loaded = _loaded(facts, adapter, version, answering, now)
    return Serving(version, traffic, history[-MAX_HISTORY:], loaded, course.canary, course.passed)


def answering_pods(
    facts: Facts, adapter: LoRAAdapter, version: int, name: str | None, now: datetime
) -> tuple[EnginePod, ...]:
    """Ready pods that requests for this version go to."""
    return tuple(pod for pod in carriers(facts, adapter, version, name, now) if pod.ready)


def _may_move(facts: Facts, adapter: LoRAAdapter, name: str, now: datetime) -> bool:
    if name == serving_name(adapter):
        return False
    pods = answering_pods(facts, adapter, adapter.spec.active_version, name, now)
    holders = [pod for pod in pods if pod.holds(name)]
    return bool(holders) and (len(holders) == len(pods) or not _answered_now(facts, adapter, now))


def _answered_now(facts: Facts, adapter: LoRAAdapter, now: datetime) -> bool:
    version, name = adapter.status.serving_version, serving_name(adapter)
    if version is None or name is None:
        return False
    pods = answering_pods(facts, adapter, version, name, now)
    return any(pod.holds(name) for pod in pods) or _unheard(adapter, pods) > 0


def _unheard(adapter: LoRAAdapter, pods: Sequence[EnginePod]) -> int:
    """Ready pods whose agent has not reported to this process yet, as far as the status counted them before: a new
    leader takes nothing from what it has not heard of."""
    heard = sum(pod.holds(name) for pod in pods) if (name := serving_name(adapter)) else 0
    silent = sum(pod.report is None for pod in pods)
    return min(silent, max(0, adapter.status.loaded.ready - heard))


def _scene(facts: Facts, adapter: LoRAAdapter, name: str | None, ready: bool, now: datetime) -> Scene:
    spec, status = adapter.spec, adapter.status
    return Scene(
        active=spec.active_version,
        serving=status.serving_version,
        rollout=spec.rollout,
        ready=ready,
        held=_held(answering_pods(facts, adapter, spec.active_version, name, now), name),
        serving_answers=_answered_now(facts, adapter, now),
        counted=dict(_counted(facts, adapter, name)),
    )


def _held(pods: Sequence[EnginePod], name: str | None) -> bool | None:
    if name is not None and any(pod.holds(name) for pod in pods):
        return True
    return None if any(pod.report is None for pod in pods) else False


def _counted(facts: Facts, adapter: LoRAAdapter, name: str | None) -> Iterator[tuple[str, Comparison]]:
    """What all gateways counted of the canary's present step."""
    canary, stable = adapter.status.canary, serving_name(adapter)
    trials = [t for report in facts.gateways.values() if report for t in report.trials if _is_of(t, adapter)]
    if canary is not None and trials:
        samples = [sample for trial in trials for sample in trial.versions]
        of_canary, of_stable = (total(s for s in samples if s.engine_name == one) for one in (name, stable))
        yield canary.since, Comparison(of_canary, of_stable)


def _is_of(trial: Trial, adapter: LoRAAdapter) -> bool:
    meta, canary = adapter.metadata, adapter.status.canary
    same = (trial.namespace, trial.name) == (meta.namespace, meta.name)
    return same and canary is not None and trial.since == canary.since


def _shares(adapter: LoRAAdapter, canary: CanaryStatus | None, name: str | None) -> tuple[Traffic, ...]:
    """The serving version's traffic, less the canary's."""
    version, stable = adapter.status.serving_version, serving_name(adapter)
    if version is None or stable is None:
        return ()
    weight = canary.weight if canary and name else 0
    shares = [Traffic(version=version, engine_name=stable, weight=100 - weight)]
    if canary and name and weight:
        shares.append(Traffic(version=canary.version, engine_name=name, weight=weight))
    return tuple(shares)


def _departures(adapter: LoRAAdapter, passed: Iterable[Passage], now: datetime) -> Iterator[Transition]:
    """Canaries that left; what they were sent last is still on its way to them."""
    causes = {
        Trigger.WORSE: CANARY_WORSE,
        Trigger.ABORTED: CANARY_ABORTED,
        Trigger.SUPERSEDED: CANARY_SUPERSEDED,
    }
    serving = adapter.status.serving_version
    for passage in passed:
        cause, before, after = causes.get(passage.trigger), passage.before, passage.after
        if cause and before and before.state != "RolledBack" and serving is not None:
            told = f"{cause}: {after.message}" if after else cause
            yield transition(before.version, serving, told, now)


def _change(adapter: LoRAAdapter, now: datetime) -> Iterator[Transition]:
    """None when just the name under which engines know the version has changed."""
    former, active = adapter.status.serving_version, adapter.spec.active_version
    if former != active:
        cause = ROLLED_BACK if former is not None and active < former else PROMOTED
        yield transition(former, active, cause, now)


def _loaded(facts: Facts, adapter: LoRAAdapter, version: int | None, name: str | None, now: datetime) -> Loaded:
    if version is None or name is None:
        return Loaded()
    pods = carriers(facts, adapter, version, name, now)
    ready = [pod for pod in pods if pod.ready]
    unheard = _unheard(adapter, ready) if name == serving_name(adapter) else 0
    return Loaded(ready=sum(pod.holds(name) for pod in ready) + unheard, desired=_desired(adapter, pods, ready))


def _desired(adapter: LoRAAdapter, pods: Sequence[EnginePod], ready: Sequence[EnginePod]) -> int:
    """Pods that nobody has heard of count among those that may hold it, but not beyond those that did."""
    former = adapter.status.loaded.desired
    silent = any(pod.report is None for pod in ready)
    return min(len(pods), former) if silent and former else len(pods)
