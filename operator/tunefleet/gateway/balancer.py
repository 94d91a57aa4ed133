"""Which engine gets a request: of those that hold the version, the one with the least in flight.

Counts are this process's own. Ties rotate. A pod that refused a connection is left out for a moment, unless nothing
else is left; requests that were held wait for a sign of life from it: a report of its agent, or an answer.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, Route, Target

SHUN_SECONDS = 1.0
"""How long a pod that refused a connection is left out."""


class Choice(NamedTuple):
    """Where a request goes."""

    target: Target
    backend: Backend


class Balancer:
    """Requests in flight a pod, and pods left out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_flight: Counter[Key] = Counter()
        self._shunned: dict[Key, float] = {}
        self._silent: set[Key] = set()
        self._turn = 0

    def choose(self, target: Target, avoid: Collection[Key] = (), *, alive: bool = False) -> Backend | None:
        """The version's least busy engine; None when there is none.

        None of the pods of `avoid`; with `alive` none that refused its last connection.
        """
        backends = target.backends
        if avoid:
            backends = tuple(b for b in backends if b.pod not in avoid)
        if self._silent:
            backends = tuple(b for b in backends if b.pod not in self._silent) if alive else self._unshunned(backends)
        return self._least_busy(backends) if backends else None

    def started(self, backend: Backend) -> None:
        """A request goes to this pod."""
        self._in_flight[backend.pod] += 1

    def finished(self, backend: Backend) -> None:
        """A request that `started` is over."""
        self._in_flight[backend.pod] -= 1
        if not self._in_flight[backend.pod]:
            del self._in_flight[backend.pod]

    def in_flight(self, pod: Key) -> int:
        """Requests at this pod now."""
        return self._in_flight[pod]

    def shun(self, backend: Backend) -> None:
        """This pod refused a connection."""
        self._shunned[backend.pod] = self._clock() + SHUN_SECONDS
        self._silent.add(backend.pod)

    @property
    def waits_for_signs(self) -> bool:
        """Some pod refused its last connection."""
        return bool(self._silent)

    def forgive(self, pod: Key) -> bool:
        """This pod gave a sign of life. True when it was waited for."""
        if pod not in self._silent:
            return False
        self._silent.discard(pod)
        self._shunned.pop(pod, None)
        return True

    def keep(self, routes: Iterable[Route]) -> None:
        """Forget what is remembered of pods that are on no route."""
        if self._silent:
            known = {backend.pod for route in routes for target in route.targets for backend in target.backends}
            self._silent &= known
            self._shunned = {pod: until for pod, until in self._shunned.items() if pod in known}

    def _unshunned(self, backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
        now = self._clock()
        return tuple(b for b in backends if self._shunned.get(b.pod, now) <= now) or backends

    def _least_busy(self, backends: tuple[Backend, ...]) -> Backend:
        if len(backends) == 1:
            return backends[0]
        self._turn += 1
        start = self._turn % len(backends)
        return min(backends[start:] + backends[:start], key=lambda backend: self._in_flight[backend.pod])
