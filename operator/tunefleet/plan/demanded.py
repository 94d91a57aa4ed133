"""Which objects have to be decided again when a gateway told something new about requests."""

from collections.abc import Mapping
from typing import NamedTuple

from tunefleet.api.lora_adapter import LoRAAdapter

from .demand import AdapterDemand, DemandReport, Trial
from .facts import Facts, Key, ObjectRef


def demanded(facts: Facts, former: DemandReport | None, latest: DemandReport | None) -> frozenset[ObjectRef]:
    """Adapters, and the endpoints that carry them, of which a gateway tells what may change a decision.

    Load alone is no such thing: who is awake and asked for stays awake, and when he falls asleep is a matter of time.
    None: the gateway does not answer.
    """
    before, after = _told(former), _told(latest)
    named = (key for key in before.keys() | after.keys() if key in facts.adapters)
    found = {key for key in named if _matters(facts.adapters[key], before.get(key, _Told()), after.get(key, _Told()))}
    if former is None or latest is None:  # who may sleep depends on what all gateways say, and on what they do not say
        found.update(key for key, adapter in facts.adapters.items() if _may_sleep(adapter))
    bases = {(key.namespace, facts.adapters[key].spec.base_model_ref.name) for key in found}
    endpoints = (key for key, endpoint in facts.endpoints.items() if (key.namespace, endpoint.spec.model.name) in bases)
    adapters = (ObjectRef("LoRAAdapter", *key) for key in found)
    return frozenset((*adapters, *(ObjectRef("InferenceEndpoint", *key) for key in endpoints)))


class _Told(NamedTuple):
    """What one gateway says of one adapter."""

    demand: AdapterDemand | None = None
    trials: tuple[Trial, ...] = ()


def _told(report: DemandReport | None) -> Mapping[Key, _Told]:
    found: dict[Key, _Told] = {}
    for demand in report.adapters if report else ():
        found[Key(demand.namespace, demand.name)] = _Told(demand)
    for trial in report.trials if report else ():
        key = Key(trial.namespace, trial.name)
        known = found.get(key, _Told())
        found[key] = known._replace(trials=(*known.trials, trial))
    return found


def _matters(adapter: LoRAAdapter, before: _Told, after: _Told) -> bool:
    if before.trials != after.trials or (before.demand is None) != (after.demand is None):
        return True
    if before.demand is None or after.demand is None:
        return False
    asked = before.demand.last_asked != after.demand.last_asked
    asleep = adapter.status.asleep_since is not None
    return (asked and asleep) or _pressure(adapter, before.demand) != _pressure(adapter, after.demand)


def _pressure(adapter: LoRAAdapter, demand: AdapterDemand) -> tuple[bool, bool, int]:
    """Whether somebody waits, or is being answered where that keeps it awake; and the requests a minute to a power of
    two, as the hot ones get the free slots."""
    running = demand.in_flight > 0 and _may_sleep(adapter)
    return demand.waiting > 0, running, int(demand.requests_per_minute).bit_length()


def _may_sleep(adapter: LoRAAdapter) -> bool:
    return adapter.spec.loading.min_replicas == 0
