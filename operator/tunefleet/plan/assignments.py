"""Which adapters each pod of an endpoint shall hold."""

from collections.abc import Iterable, Mapping, Sequence

from tunefleet.engine.adapters_api import AdapterState, DesiredAdapter

from .asked import Asked
from .facts import Key
from .fingerprints import uncompared
from .holdings import Holding
from .observed import EnginePod, ObservedRevision
from .placement import Seat, place
from .revision import RevisionParameters

Assignments = Mapping[Key, tuple[DesiredAdapter, ...]]
"""By pod, what it shall hold, most needed first."""


def fits(parameters: RevisionParameters, holding: Holding) -> bool:
    """The engines of this revision can take it: right base version, rank within the pool, claim mounted."""
    return (
        holding.base_version == parameters.fixed.base_version
        and holding.desired.rank <= parameters.max_rank
        and (holding.claim is None or holding.claim in parameters.claims)
    )


def assigned(revision: ObservedRevision, holdings: Iterable[Holding], asked: Mapping[Key, Asked]) -> Assignments:
    """What each pod of a revision shall hold, no more than it has slots for.

    Pods that are starting get their share; those that are going are none of the revision's any more.
    """
    parameters = revision.parameters
    if parameters is None:
        return {}
    fitting = (h for h in holdings if fits(parameters, h))
    placed = place((seat(pod) for pod in revision.pods), parameters.capacity, fitting, asked)
    return {pod: tuple(h.desired for h in held) for pod, held in placed.items()}


def carrying(
    revision: ObservedRevision, holdings: Sequence[Holding], asked: Mapping[Key, Asked]
) -> Mapping[str, set[Key]]:
    """By engine name, the pods that shall hold it, and those of which nobody knows yet whether they do."""
    parameters = revision.parameters
    if parameters is None:
        return {}
    unknown = {pod.pod.key for pod in revision.pods if seat(pod).unknown}
    found = {h.desired.engine_name: set(unknown) for h in holdings if fits(parameters, h)}
    for pod, desired in assigned(revision, holdings, asked).items():
        for adapter in desired:
            found[adapter.engine_name].add(pod)
    return found


def orders(revision: ObservedRevision, assignments: Assignments) -> Iterable[tuple[Key, tuple[DesiredAdapter, ...]]]:
    """Pods whose agent reports another set than it shall hold, or lacks a record to compare with, and that set."""
    for pod in revision.pods:
        wanted = assignments.get(pod.pod.key)
        if pod.report is None or wanted is None:
            continue
        if _held(pod) != _wanted(wanted) or uncompared(pod.report, wanted):
            yield pod.pod.key, wanted


def settled(pod: EnginePod, wanted: Sequence[DesiredAdapter]) -> bool:
    """The agent reports, and has loaded, or failed to load, everything that it shall hold."""
    if pod.report is None:
        return False
    states = pod.states
    done = (AdapterState.LOADED, AdapterState.FAILED)
    return all(states.get(adapter.engine_name) in done for adapter in wanted)


def good_pods(revision: ObservedRevision, holdings: Iterable[Holding], asked: Mapping[Key, Asked]) -> int:
    """Pods that answer, and have settled what they shall hold."""
    wanted = assigned(revision, holdings, asked)
    return sum(settled(pod, wanted.get(pod.pod.key, ())) for pod in revision.ready_pods)


def seat(pod: EnginePod) -> Seat:
    """A pod as placing sees it. What is on its way out is not held; what is on its way in is."""
    if pod.report is None:
        return Seat(pod.pod.key, pod.ready, None)
    states = pod.states.items()
    held = frozenset(name for name, state in states if state is not AdapterState.DRAINING)
    loaded = frozenset(name for name, state in states if state is AdapterState.LOADED)
    return Seat(pod.pod.key, pod.ready, held, loaded)


def _held(pod: EnginePod) -> set[tuple[str, str]]:
    adapters = pod.report.adapters if pod.report else ()
    return {(a.engine_name, a.digest) for a in adapters if a.state is not AdapterState.DRAINING}


def _wanted(adapters: Iterable[DesiredAdapter]) -> set[tuple[str, str]]:
    return {(a.engine_name, a.digest) for a in adapters}
