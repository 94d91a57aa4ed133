"""When an adapter with minReplicas 0 falls asleep, and when it wakes.

| It is | and | then |
|---|---|---|
| awake | it was never loaded and verified; or a promotion or a canary is under way | it stays awake |
| awake | some gateway has not told yet, or there is none: nobody knows | it stays awake |
| awake | a request waits or runs, or the last one came less than idleSeconds ago | it stays awake |
| awake | nobody asked for idleSeconds | it falls asleep |
| asleep | a request waits, or came since it fell asleep | it wakes |
| asleep | another version shall answer, or minReplicas is no longer 0 | it wakes |
| asleep | anything else, also when nobody knows | it sleeps on |

A gateway that has just started knows of no request before: its own start counts as one. So does the last change of the
serving version.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tunefleet.api.lora_adapter import LoRAAdapter

from .asked import Asked, asked
from .facts import Facts, Key
from .holdings import serving_name, target_name
from .times import parse_time, rfc3339, seconds_since


@dataclass(frozen=True)
class Sleep:
    """How an adapter sleeps."""

    since: str | None = None
    """When it fell asleep; None while it is awake."""
    earliest: float | None = None
    """Seconds until it may fall asleep; None when it sleeps, or when that depends on more than time."""


def sleep(facts: Facts, adapter: LoRAAdapter, now: datetime) -> Sleep:
    """Whether it sleeps from now on. `adapter` carries the entries of this decision."""
    if adapter.spec.loading.min_replicas > 0 or _busy(adapter):
        return Sleep()
    demand = asked(facts.gateways.values()).get(_key(adapter), Asked())
    since = adapter.status.asleep_since
    if since is not None:
        return Sleep() if demand.pressed or _later(demand.last, since) else Sleep(since)
    quiet = None if demand.pressed else _quiet_since(facts, adapter)
    if quiet is None:
        return Sleep()
    left = adapter.spec.loading.idle_seconds - seconds_since(quiet, now)
    return Sleep(earliest=left) if left > 0 else Sleep(rfc3339(now))


def slumber(adapter: LoRAAdapter) -> str:
    """What a sleeping adapter's status says."""
    seconds = adapter.spec.loading.idle_seconds
    return f"asleep since {adapter.status.asleep_since}: nobody asked for it for {seconds} s; a request loads it"


def _busy(adapter: LoRAAdapter) -> bool:
    """Nothing has been loaded and verified yet, or something else is about to be."""
    target, canary = target_name(adapter), adapter.status.canary
    if adapter.status.serving_version is None or (canary is not None and canary.state != "RolledBack"):
        return True
    return target is not None and target != serving_name(adapter) and not _taken_back(adapter)


def _taken_back(adapter: LoRAAdapter) -> bool:
    """The active version was tried and found worse: what serves is what stays."""
    canary = adapter.status.canary
    return canary is not None and canary.version == adapter.spec.active_version


def _quiet_since(facts: Facts, adapter: LoRAAdapter) -> str | None:
    """When somebody may last have asked for it; None when nobody can say."""
    reports = facts.gateways.values()
    if not reports or not all(report and report.since for report in reports):
        return None
    return max(_moments(facts, adapter), key=parse_time)


def _moments(facts: Facts, adapter: LoRAAdapter) -> Iterator[str]:
    """The last change of the serving version, and by gateway the last request, or its own start when it had none."""
    yield from (transition.time for transition in adapter.status.history[-1:])
    for report in facts.gateways.values():
        if report is not None:
            mine = [d.last_asked for d in report.adapters if Key(d.namespace, d.name) == _key(adapter)]
            yield from mine or [report.since]


def _later(moment: str, than: str) -> bool:
    return bool(moment) and parse_time(moment) > parse_time(than)


def _key(adapter: LoRAAdapter) -> Key:
    return Key(adapter.metadata.namespace, adapter.metadata.name)
