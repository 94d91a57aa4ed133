"""Which engine gets a request: of those that hold the version, the one with the least in flight.

Counts are this process's own. Ties rotate. A pod that refused a connection is left out for a moment, unless nothing
else is left; a fresh report from its agent brings it back at once.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tunefleet.plan.facts import Key
from tunefleet.plan.routing import Backend, Route, Target

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
        self._turn = 0

    def choose(self, route: Route, avoid: Backend | None = None) -> Choice | None:
        """A version by weight, and its least busy engine; never the pod of `avoid`. None when there is none."""
        found = [(target, backends) for target in route.targets if (backends := self._candidates(target, avoid))]
        if not found:
            return None
        target, backends = found[0] if len(found) == 1 else _by_weight(found)
        return Choice(target, self._least_busy(backends))

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

    def forgive(self, pod: Key) -> None:
        """This pod gave a sign of life."""
        self._shunned.pop(pod, None)

    def _candidates(self, target: Target, avoid: Backend | None) -> tuple[Backend, ...]:
        backends = target.backends
        if avoid is not None:
            backends = tuple(b for b in backends if b.pod != avoid.pod)
        if not self._shunned:
            return backends
        now = self._clock()
        self._shunned = {pod: until for pod, until in self._shunned.items() if until > now}
        return tuple(b for b in backends if b.pod not in self._shunned) or backends

    def _least_busy(self, backends: tuple[Backend, ...]) -> Backend:
        if len(backends) == 1:
            return backends[0]
        self._turn += 1
        start = self._turn % len(backends)
        return min(backends[start:] + backends[:start], key=lambda backend: self._in_flight[backend.pod])


_Candidates = tuple[Target, tuple[Backend, ...]]


def _by_weight(found: Sequence[_Candidates]) -> _Candidates:
    return random.choices(found, weights=[target.weight for target, _ in found])[0]  # noqa: S311 - a share of traffic
