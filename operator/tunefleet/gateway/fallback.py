"""Who answers instead when an endpoint cannot, as a lane like any other.

A fallback is taken in place of waiting when no pod can take the request now, and in place of asking when the breaker
of the pod's endpoint is open; never for a request that may have run. Where the fallback cannot answer either, things go
as if there were none: a pod behind an open breaker is asked after all, since its own error says more than ours would.
"""

from collections.abc import Callable, Collection
from typing import final

from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import Fallback
from tunefleet.plan.route_table import RouteTable

from .balancer import Balancer, Lane
from .breaker import Breaker
from .external import Externals
from .pods import Pod
from .prefix import point_of_prefix
from .series import Series


@final
class Fallbacks:
    """The fallbacks of the present table, and the breakers of the endpoints that have one."""

    def __init__(
        self, balancer: Balancer, externals: Externals, series: Callable[[str], Series], clock: Callable[[], float]
    ) -> None:
        self.breakers: dict[Key, Breaker] = {}
        """By namespace and endpoint."""
        self._balancer = balancer
        self._externals = externals
        self._series = series
        self._clock = clock
        self._lanes: dict[int, Lane] = {}
        self._kept: list[Fallback] = []
        """Keeps alive what the keys of `_lanes` are the ids of."""

    def follow(self, table: RouteTable) -> None:
        """Another table, which the balancer follows already."""
        self._lanes.clear()
        self._kept.clear()
        found = [route.fallback for route in table.routes.values() if route.fallback is not None]
        self._externals.follow([fallback.external for fallback in found if fallback.external is not None])
        now = self._clock()
        for breaker in self.breakers.values():
            breaker.forget(now)
        former = self.breakers
        self.breakers = {fallback.endpoint: former.get(fallback.endpoint) or Breaker() for fallback in found}
        if former or self.breakers:
            self._tell_pods()

    def resolve(
        self,
        fallback: Fallback,
        lane: Lane | None,
        pod: Pod | None,
        body: bytes,
        now: float,
        avoid: Collection[Key],
        alive: bool,
    ) -> tuple[Lane | None, Pod | None]:
        """Where a request goes that `lane` has `pod` for, or nothing: there, to another endpoint's pod with the same
        version, or to the fallback."""
        if lane is not None and pod is not None:
            if pod.breaker is None or not pod.breaker.open(now):
                return lane, pod
            other = lane.choose(_point(lane, body), now, [*avoid, *_behind_open_breakers(lane, now)], alive)
            if other is not None:
                return lane, other
        there = self.lane(fallback)
        if there is not None:
            stand_in = there.choose(_point(there, body), now, _behind_open_breakers(there, now), False)
            if stand_in is not None:
                return there, stand_in
        return lane, pod

    def lane(self, fallback: Fallback) -> Lane | None:
        """The fallback's lane, the same one until the next table; None when its key cannot be had."""
        if fallback.external is not None and self.problem(fallback):
            return None
        found = self._lanes.get(id(fallback))
        if found is None:
            found = self._make(fallback)
            if found is not None:
                self._lanes[id(fallback)] = found
                self._kept.append(fallback)
        return found

    def problem(self, fallback: Fallback) -> str:
        """Why it cannot be asked at all, in one clause; empty when it can."""
        if fallback.external is None:
            return ""
        upstream = self._externals.upstream(fallback.external)
        return upstream.problem if upstream is not None else "it was replaced"

    def _make(self, fallback: Fallback) -> Lane | None:
        if fallback.target is not None:
            theirs = self._balancer.lane(fallback.target)
            return Lane(theirs.engine_name, theirs.series, theirs.pods, fallback.mark)
        external = fallback.external
        upstream = self._externals.upstream(external) if external is not None else None
        if external is None or upstream is None:
            return None
        return Lane(external.model, self._series(external.model), (upstream.pod,), fallback.mark)

    def _tell_pods(self) -> None:
        for pod in self._balancer.pods():
            backend = pod.backend
            if backend is not None:
                pod.breaker = self.breakers.get(Key(backend.pod.namespace, backend.endpoint))


def _point(lane: Lane, body: bytes) -> int:
    return point_of_prefix(body, lane.engine_name) if len(lane.pods) > 1 else 0


def _behind_open_breakers(lane: Lane, now: float) -> list[Key]:
    return [pod.key for pod in lane.pods if pod.breaker is not None and pod.breaker.open(now)]
