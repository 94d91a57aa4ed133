"""When a version gets no slot: for good, or until something that is on its way out has gone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.adapters_api import AdapterReport, AdapterState

from .asked import asked
from .assignments import fits, seat
from .facts import Facts
from .holdings import Holding, Need, holdings
from .observed import EnginePod, ObservedRevision, observed_revisions
from .placement import Seat, place
from .selection import selected_adapters


def without_slot(
    facts: Facts, adapter: LoRAAdapter, endpoint: InferenceEndpoint, name: str, now: datetime
) -> tuple[str, ...] | None:
    """None when some engine of the endpoint has a slot for this version of `adapter`, or nobody knows.

    Otherwise the versions that left traffic a moment ago and give way to it soon; empty when nothing will.
    """
    held = _holdings(facts, adapter, endpoint, now)
    revisions = [r for r in observed_revisions(facts, endpoint) if r.pods and _suits(r, held, name)]
    if not revisions or _has_slot(facts, revisions, held, name):
        return None
    leaving = [h.desired.engine_name for h in held if h.need is Need.LEAVING]
    lasting = [h for h in held if h.need is not Need.LEAVING]
    return tuple(sorted(leaving)) if _has_slot(facts, revisions, lasting, name) else ()


def awaited_streams(pods: Iterable[EnginePod], name: str) -> tuple[str, tuple[str, ...]] | None:
    """A pod where this version waits for a slot, and the versions that it waits for: requests still use them."""
    for pod in pods:
        reports = pod.report.adapters if pod.report else ()
        going = tuple(report.engine_name for report in reports if report.state is AdapterState.DRAINING)
        if going and any(report.engine_name == name and _wants_slot(report) for report in reports):
            return pod.pod.key.name, going
    return None


def _wants_slot(report: AdapterReport) -> bool:
    return report.state is not AdapterState.LOADED and report.reason is Reason.NO_FREE_SLOT


def _holdings(facts: Facts, adapter: LoRAAdapter, endpoint: InferenceEndpoint, now: datetime) -> tuple[Holding, ...]:
    selected = selected_adapters(facts, endpoint)
    current = (adapter if other.metadata.name == adapter.metadata.name else other for other in selected)
    return tuple(holding for one in current for holding in holdings(one, now))


def _suits(revision: ObservedRevision, held: Sequence[Holding], name: str) -> bool:
    parameters = revision.parameters
    return parameters is not None and any(fits(parameters, h) for h in held if h.desired.engine_name == name)


def _has_slot(facts: Facts, revisions: Iterable[ObservedRevision], held: Sequence[Holding], name: str) -> bool:
    return name in set(_placed(facts, revisions, held))


def _placed(facts: Facts, revisions: Iterable[ObservedRevision], held: Sequence[Holding]) -> Iterator[str]:
    demand = asked(facts.gateways.values())
    for revision in revisions:
        if (parameters := revision.parameters) is not None:
            fitting = (h for h in held if fits(parameters, h))
            for placed in place(_seats(revision.pods), parameters.capacity, fitting, demand).values():
                yield from (h.desired.engine_name for h in placed)


def _seats(pods: Sequence[EnginePod]) -> Iterable[Seat]:
    """A new leader that has not heard every agent yet looks at the pods as they would be filled from nothing."""
    seats = [seat(pod) for pod in pods]
    return [replace(s, held=frozenset()) for s in seats] if any(s.unknown for s in seats) else seats
