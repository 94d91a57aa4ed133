"""Where one request may go: a version, the same one at each try, and a pod that holds it; or who answers instead."""

from collections.abc import Collection
from typing import final

from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import Fallback
from tunefleet.plan.route_table import Route, RouteTable, Target

from .balancer import Lane
from .model_field import ModelField
from .pods import Pod
from .prefix import point_of_prefix
from .record import Record
from .request_reader import Request
from .state import GatewayState
from .stickiness import draw, point_of


@final
class Course:
    """Of one request."""

    def __init__(self, state: GatewayState, request: Request, model: ModelField, route: Route, record: Record) -> None:
        self._state = state
        self._request = request
        self._model = model
        self._record = record
        self._point = -1
        """Of the session, among the versions of a name that has several."""
        self.route = route
        self.fell_back = False
        """The fallback was tried: what is left are the endpoint's own engines."""
        self.may_fall_back = True
        """Until an answer's head has gone: after that nobody could be told of other weights."""
        self.lane: Lane | None = None
        """Of the last choice."""

    def follow(self, table: RouteTable) -> None:
        """By another table from now on."""
        self.route = table.routes.get(self._model.name, self.route)
        self.fell_back = False

    def choose(self, now: float, avoid: Collection[Key], *, alive: bool) -> Pod | None:
        """A pod, and `lane` is what it is asked for; None when there is none.

        None of the pods of `avoid`; with `alive` none that took no connection and gave no sign of life since.
        """
        targets = self.route.targets
        target = targets[0] if len(targets) == 1 else self._draw(targets)
        lane: Lane | None = None
        pod: Pod | None = None
        if target is not None:
            lane = self._state.balancer.lane(target)
            pod = lane.choose(self._prefix(lane), now, avoid, alive)
        fallback = self.route.fallback
        if fallback is not None and self.may_fall_back and not self.fell_back:
            lane, pod = self._or_instead(fallback, lane, pod, now, avoid, alive)
        self.lane = lane
        return pod

    def another(self, lane: Lane, pod: Pod, now: float) -> Pod | None:
        """Another pod with the same version than the one that took no connection."""
        return lane.choose(self._prefix(lane), now, (pod.key,), True)

    def _or_instead(
        self, fallback: Fallback, lane: Lane | None, pod: Pod | None, now: float, avoid: Collection[Key], alive: bool
    ) -> tuple[Lane | None, Pod | None]:
        """Where the request goes by breakers and fallback. What nobody holds is asked for all the same."""
        state, adapter = self._state, self.route.adapter
        if pod is None and adapter is not None:
            state.demand.missed(adapter)
        return state.fallbacks.resolve(fallback, lane, pod, self._request.body, now, avoid, alive)

    def _draw(self, targets: tuple[Target, ...]) -> Target | None:
        """A version by weight, the same one for all requests of a session."""
        if self._point < 0:
            self._point = point_of(self._request.head.session, self._request.body, self.route.served_name)
        self._record.step = self._state.demand.trials.of(self.route.served_name)
        return draw(targets, self._point)

    def _prefix(self, lane: Lane) -> int:
        return point_of_prefix(self._request.body, lane.engine_name) if len(lane.pods) > 1 else 0
