"""When the served name of an adapter moves to another version.

It moves to the active version when every engine that should answer for it holds it: no request then meets an engine
that has to load first. If nobody is answered now, the first engine that holds it is enough. It never moves to anything
but the active version, so what answers is either what the spec says or what it said before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tunefleet.api.lora_adapter import MAX_HISTORY, Loaded, LoRAAdapter, Traffic, Transition

from .carriers import carriers
from .facts import Facts
from .holdings import serving_name, target_name
from .observed import EnginePod
from .times import rfc3339

PROMOTED = "Promoted"
ROLLED_BACK = "RolledBack"


@dataclass(frozen=True)
class Serving:
    """What answers for the served name."""

    version: int | None
    traffic: tuple[Traffic, ...]
    history: tuple[Transition, ...]
    loaded: Loaded

    @property
    def answers(self) -> bool:
        """Some engine holds it now."""
        return self.loaded.ready > 0


def serving(facts: Facts, adapter: LoRAAdapter, now: datetime) -> Serving:
    """What answers from now on."""
    name = target_name(adapter)
    if name is not None and _may_move(facts, adapter, name, now):
        return _moved(facts, adapter, name, now)
    status = adapter.status
    return Serving(
        status.serving_version,
        status.traffic,
        status.history,
        _loaded(facts, adapter, status.serving_version, serving_name(adapter), now),
    )


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


def _moved(facts: Facts, adapter: LoRAAdapter, name: str, now: datetime) -> Serving:
    former, active = adapter.status.serving_version, adapter.spec.active_version
    history = adapter.status.history
    if former != active:
        cause = ROLLED_BACK if former is not None and active < former else PROMOTED
        history = (*history, _transition(former, active, cause, now))
    traffic = (Traffic(version=active, engine_name=name, weight=100),)
    return Serving(active, traffic, history[-MAX_HISTORY:], _loaded(facts, adapter, active, name, now))


def _transition(former: int | None, latest: int, cause: str, now: datetime) -> Transition:
    return Transition.read({"time": rfc3339(now), "from": former, "to": latest, "cause": cause})


def _loaded(facts: Facts, adapter: LoRAAdapter, version: int | None, name: str | None, now: datetime) -> Loaded:
    if version is None or name is None:
        return Loaded()
    pods = carriers(facts, adapter, version, name, now)
    ready = [pod for pod in pods if pod.ready]
    unheard = _unheard(adapter, ready) if name == serving_name(adapter) else 0
    return Loaded(ready=sum(pod.holds(name) for pod in ready) + unheard, desired=len(pods))
