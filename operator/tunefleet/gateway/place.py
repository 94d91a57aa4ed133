"""A request's place among those that wait for an engine, see hold.py."""

from collections.abc import Collection
from typing import Protocol, final

from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import RouteTable

from .course import Course
from .errors import Refusal, queue_full, without_fallback
from .hold import Outcome
from .model_field import ModelField
from .record import Record
from .reply import Reply
from .state import GatewayState


class Waiter(Protocol):
    """The exchange that waits."""

    def go(self, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Begin an attempt at a pod; None when there is none."""

    def refuse(self, refusal: Refusal) -> None:
        """End, with an error of ours."""


@final
class Place:
    """Of one request, kept through all its waits."""

    def __init__(
        self, state: GatewayState, exchange: Waiter, course: Course, reply: Reply, record: Record, model: ModelField
    ) -> None:
        self._state = state
        self._exchange = exchange
        self._course = course
        self._reply = reply
        self._model = model
        self.record = record
        self.refusal: Refusal | None = None
        """While it waits: what is answered if no engine comes."""
        self._since = 0.0
        """When it began to wait; 0.0: it never did."""
        self._joined = 0.0

    @property
    def served_name(self) -> str:
        """Of the model that it asks for."""
        return self._course.route.served_name

    @property
    def tenant(self) -> str:
        """Whose request it is."""
        tenant = self.record.tenant
        return "" if tenant is None else tenant.name

    @property
    def size(self) -> int:
        """Of its body, in bytes."""
        return self.record.body_bytes

    def take(self, refusal: Refusal) -> float:
        """Wait until an engine comes; until when at most. Raises `refusal`, or another one, when that is not to be."""
        state, route = self._state, self._course.route
        if route.adapter is not None:
            state.demand.missed(route.adapter)
        problem = state.fallbacks.problem(route.fallback) if route.fallback is not None else ""
        if problem:
            refusal = without_fallback(refusal, problem)
        again = self._since > 0.0
        until = state.hold.join(self, self._since if again else None) if route.awaited else None
        if until is None:
            full = route.awaited and state.hold.holds and not again
            raise queue_full(self._model.name) if full else refusal
        self._since = until - state.settings.hold.seconds
        self._joined = state.clock()
        self.refusal = refusal
        return until

    def leave(self, outcome: Outcome) -> None:
        """Wait no more."""
        self.refusal = None
        self.record.held += self._state.clock() - self._joined
        self._state.hold.leave(self, outcome)

    def try_again(self, table: RouteTable, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Leave the queue and go to a pod now; None when there is still none."""
        self._course.follow(table)
        return self._exchange.go(avoid, alive=alive)

    def give_way(self) -> None:
        """Leave the queue to somebody who has fewer requests in it."""
        self.leave("refused")
        self._exchange.refuse(queue_full(self._model.name))

    def comfort(self) -> None:
        """Begin the answer if it will be a stream of events, and say that something goes on."""
        if self._model.fields.stream is True:
            self._course.may_fall_back = False
            self._reply.comfort()
