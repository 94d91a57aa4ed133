"""Which adapters each pod of an endpoint shall hold."""

from collections.abc import Iterable, Sequence

from tunefleet.engine.adapters_api import AdapterState, DesiredAdapter

from .facts import Key
from .holdings import Holding
from .observed import EnginePod, ObservedRevision
from .revision import RevisionParameters


def fits(parameters: RevisionParameters, holding: Holding) -> bool:
    """The engines of this revision can take it: right base version, rank within the pool, claim mounted."""
    return (
        holding.base_version == parameters.fixed.base_version
        and holding.desired.rank <= parameters.max_rank
        and (holding.claim is None or holding.claim in parameters.claims)
    )


def assigned(parameters: RevisionParameters, holdings: Iterable[Holding]) -> tuple[DesiredAdapter, ...]:
    """What one of its engines shall hold, most needed first, no more than it has slots for."""
    fitting = sorted((h for h in holdings if fits(parameters, h)), key=lambda h: h.precedence)
    return tuple(h.desired for h in fitting[: parameters.capacity])


def orders(revision: ObservedRevision, holdings: Sequence[Holding]) -> Iterable[tuple[Key, tuple[DesiredAdapter, ...]]]:
    """Pods whose agent reports another set than it shall hold, and that set."""
    if revision.parameters is None:
        return
    wanted = assigned(revision.parameters, holdings)
    for pod in revision.pods:
        if pod.report is not None and _held(pod) != _wanted(wanted):
            yield pod.pod.key, wanted


def settled(pod: EnginePod, wanted: Sequence[DesiredAdapter]) -> bool:
    """The agent reports, and has loaded, or failed to load, everything that it shall hold."""
    if pod.report is None:
        return False
    states = pod.states
    done = (AdapterState.LOADED, AdapterState.FAILED)
    return all(states.get(adapter.engine_name) in done for adapter in wanted)


def _held(pod: EnginePod) -> set[tuple[str, str]]:
    adapters = pod.report.adapters if pod.report else ()
    return {(a.engine_name, a.digest) for a in adapters if a.state is not AdapterState.DRAINING}


def _wanted(adapters: Iterable[DesiredAdapter]) -> set[tuple[str, str]]:
    return {(a.engine_name, a.digest) for a in adapters}
