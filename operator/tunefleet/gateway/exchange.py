"""One request at an engine: choose, connect, send, pass the answer on, and say so when the engine breaks off.

The rule about repeating: a request goes to another engine only when the first took no connection: at once to one
that holds the same version, and when there is none it waits for one (hold.py). From the first byte sent, nobody can
know whether it ran, and running it twice may cost or do something twice; unless TCP says that none of it arrived.
"""

import asyncio
from collections.abc import Collection
from typing import final
from zlib import crc32

from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import Fallback
from tunefleet.plan.route_table import Route, RouteTable, Target

from .balancer import Lane
from .breaker import Breaker
from .client import Client
from .engines import EngineConnection, give_back, take
from .errors import (
    EngineProtocolError,
    Refusal,
    engine_lost,
    engine_silent,
    key_refused,
    queue_full,
    unavailable_model,
    unreachable,
    without_fallback,
)
from .hold import Outcome
from .model_field import ModelField
from .pods import Pod
from .prefix import point_of_prefix
from .record import BROKEN, DISCONNECTED, Record
from .request_reader import Request
from .response_head import ResponseHead
from .response_reader import ResponseReader
from .splice import broken, to_client, to_engine
from .state import GatewayState
from .stickiness import draw, point_of
from .trials import STREAMED_ERROR


@final
class Exchange:
    """From a whole request to the end of its answer. It ends the record, unless `start` raises."""

    def __init__(
        self, state: GatewayState, client: Client, request: Request, model: ModelField, route: Route, record: Record
    ) -> None:
        self._state = state
        self._client = client
        self._request = request
        self._model = model
        self._route = route
        self.record = record
        self._reader = ResponseReader(state.response_heads, plain=request.head.minor == 0)
        self._keep_alive = request.head.keep_alive
        self._retried = False
        self._redialled = False
        self._fell_back = False
        """The fallback was tried: what is left are the endpoint's own engines."""
        self._now = record.started
        """When the clock was last looked at."""
        self._lane: Lane | None = None
        self._pod: Pod | None = None
        self._engine: EngineConnection | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._sent_bytes = 0
        self._paused = False
        self._point = -1
        """Of the session, among the versions of a name that has several."""
        self._waiting: Refusal | None = None
        """While no engine can answer: what is answered if none comes."""
        self._waited_since = 0.0
        """When it began to wait; 0.0: it never did."""
        self._joined = 0.0

    def start(self) -> None:
        """Send the request to an engine, or wait for one. Raises Refusal when it may not wait."""
        if self._go((), alive=False) is None:
            self._wait(unavailable_model(self._model.name))

    def abandon(self) -> None:
        """The client is gone: the engine's connection closes at once, which frees its slot."""
        if self._waiting is not None:
            self._leave("left")
        self._now = self._state.clock()
        self._end(DISCONNECTED)

    def timed_out(self) -> None:
        """The engine said nothing for too long, or none came."""
        waiting = self._waiting
        if waiting is None:
            self._failed(engine_silent(self._model.name, self._state.engine_timeout))
            return
        self._fell_back = False
        self._now = self._state.clock()
        if self._route.fallback is None or self._go((), alive=True) is None:
            self._leave("expired")
            self._refuse(waiting)

    def pause(self) -> None:
        """The client does not take what waits for it."""
        self._paused = True
        if self._engine is not None:
            self._engine.transport.pause_reading()

    def resume(self) -> None:
        """The client takes more."""
        self._paused = False
        if self._engine is not None:
            self._engine.transport.resume_reading()

    # --- while no engine can answer

    @property
    def served_name(self) -> str:
        """Of the model that it asks for."""
        return self._route.served_name

    @property
    def size(self) -> int:
        """Of its body, in bytes."""
        return len(self._request.body)

    def try_again(self, table: RouteTable, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Leave the queue and go to a pod now; None when there is still none."""
        self._route = table.routes.get(self._model.name, self._route)
        self._retried = self._redialled = self._fell_back = False
        self._now = self._state.clock()
        return self._go(avoid, alive=alive)

    def _wait(self, refusal: Refusal) -> None:
        """Until an engine comes. Raises `refusal`, or another one, when that is not to be."""
        state, route = self._state, self._route
        if route.adapter is not None:
            state.demand.missed(route.adapter)
        problem = state.fallbacks.problem(route.fallback) if route.fallback is not None else ""
        if problem:
            refusal = without_fallback(refusal, problem)
        again = self._waited_since > 0.0
        until = state.hold.join(self, self._waited_since if again else None) if route.awaited else None
        if until is None:
            raise queue_full(self._model.name) if route.awaited and state.hold.holds and not again else refusal
        self._waited_since = until - state.settings.hold.seconds
        self._joined = state.clock()
        self._waiting = refusal
        self._client.waits(until)

    def _leave(self, outcome: Outcome) -> None:
        """The queue."""
        self._waiting = None
        self.record.held += self._state.clock() - self._joined
        self._state.hold.leave(self, outcome)

    # --- to the engine

    def _go(self, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Begin an attempt at a pod with the version; None when there is none."""
        targets = self._route.targets
        target = targets[0] if len(targets) == 1 else self._draw(targets)
        lane: Lane | None = None
        pod: Pod | None = None
        if target is not None:
            lane = self._state.balancer.lane(target)
            pod = lane.choose(self._prefix(lane), self._now, avoid, alive)
        fallback = self._route.fallback
        if fallback is not None and not self._fell_back:
            lane, pod = self._or_instead(fallback, lane, pod, avoid, alive)
        if lane is None or pod is None:
            return None
        if self._waiting is not None:
            self._leave("sent")
            self._client.heard()
        self._attempt(lane, pod)
        return pod.key

    def _or_instead(
        self, fallback: Fallback, lane: Lane | None, pod: Pod | None, avoid: Collection[Key], alive: bool
    ) -> tuple[Lane | None, Pod | None]:
        """Where the request goes by breakers and fallback. What nobody holds is asked for all the same."""
        state, adapter = self._state, self._route.adapter
        if pod is None and adapter is not None:
            state.demand.missed(adapter)
        return state.fallbacks.resolve(fallback, lane, pod, self._request.body, self._now, avoid, alive)

    def _draw(self, targets: tuple[Target, ...]) -> Target | None:
        """A version by weight, the same one for all requests of a session."""
        if self._point < 0:
            self._point = point_of(self._request.head.session, self._request.body, self._route.served_name)
        self.record.step = self._state.demand.trials.of(self._route.served_name)
        return draw(targets, self._point)

    def _prefix(self, lane: Lane) -> int:
        return point_of_prefix(self._request.body, lane.engine_name) if len(lane.pods) > 1 else 0

    def _attempt(self, lane: Lane, pod: Pod) -> None:
        self._lane = lane
        self._pod = pod
        record = self.record
        record.series = lane.series
        record.engine_name = lane.engine_name
        record.fallback = lane.fallback
        if lane.fallback:
            self._fell_back = True
            record.step = None
        if pod.breaker is not None:
            pod.breaker.sent(self._now)
        lane.started(pod)
        self._state.telemetry.begun(record)
        engine = take(pod, self._now)
        if engine is None:
            self._dial(pod)
        else:
            self._send(engine)

    def _dial(self, pod: Pod) -> None:
        self._dialing = asyncio.get_running_loop().create_task(self._state.pool.reach(pod, self))

    def reached(self, engine: EngineConnection) -> None:
        """The pod took a connection."""
        self._dialing = None
        self._now = self._state.clock()
        engine.pod.health.reached()
        self._send(engine)

    def not_reached(self) -> None:
        """It did not run. Another pod with the same version may have it at once, else it waits."""
        self._dialing = None
        state, lane, pod = self._state, self._lane, self._pod
        assert lane is not None
        assert pod is not None
        self._now = state.clock()
        pod.health.refused(self._now)
        if pod.breaker is not None:
            pod.breaker.left()
        self._let_go()
        other = None if self._retried else lane.choose(self._prefix(lane), self._now, (pod.key,), True)
        if other is not None:
            self._retried = True
            self.record.retries += 1
            self._attempt(lane, other)
            return
        state.telemetry.left(self.record)
        self.record.series = None
        self.record.engine_name = self.record.fallback = ""
        if self._route.fallback is not None and self._go((pod.key,), alive=True) is not None:
            return
        try:
            self._wait(unreachable(self._model.name))
        except Refusal as refusal:
            self._refuse(refusal)

    def _send(self, engine: EngineConnection) -> None:
        lane = self._lane
        assert lane is not None
        self._engine = engine
        engine.listener = self
        pieces, self._sent_bytes = to_engine(self._request, self._model, lane, engine.pod, self.record.request_id)
        self.record.sent = self._now
        if len(pieces) == 1:
            engine.transport.write(pieces[0])
        else:
            engine.transport.writelines(pieces)
        if self._paused:
            engine.transport.pause_reading()
        self._client.heard()

    # --- from the engine

    def engine_said(self, data: bytes) -> None:
        """Bytes of the response."""
        self._client.heard()
        reader, record = self._reader, self.record
        begun = reader.head is not None
        try:
            body = reader.feed(data)
        except EngineProtocolError:
            self._failed(engine_lost(self._model.name))
            return
        head = reader.head
        if not begun:
            if reader.interim:
                self._pass_interim()
            if head is None:
                return
            self._now = self._state.clock()
            if head.status == 401 and self._key_refused():
                return
            top = self._top(head)
            self._client.write(top + body if body else top)
        elif body:
            self._client.write(body)
        if body:
            if record.first_byte == 0.0:  # of the body: vLLM sends a stream's head before it has a token
                self._now = record.first_byte = self._state.clock() if begun else self._now
            if record.step is not None and STREAMED_ERROR in body:
                record.streamed_error = True
        if reader.complete:
            self._complete()

    def engine_left(self, unacknowledged: int) -> None:
        """The engine closed the connection."""
        self._engine = None
        pod = self._pod
        if self._reader.head is None and unacknowledged >= self._sent_bytes and pod is not None:
            self._never_arrived(pod)
            return
        self._reader.end_of_stream()
        if self._reader.complete:
            self._complete()
        else:
            self._failed(engine_lost(self._model.name))

    def _never_arrived(self, pod: Pod) -> None:
        """The engine closed before it had the request. A new connection shows whether it lives."""
        if self._redialled:
            self.not_reached()
        else:
            self._redialled = True
            self._dial(pod)

    def _pass_interim(self) -> None:
        """1xx heads belong to the client (RFC 9110 15.2), but HTTP/1.0 does not know them."""
        if self._request.head.minor == 1:
            self._client.write(b"".join(self._reader.interim))
        self._reader.interim.clear()

    def _top(self, head: ResponseHead) -> bytes:
        """The head for the client."""
        lane, pod, record = self._lane, self._pod, self.record
        assert lane is not None
        assert pod is not None
        if head.status >= 500 or not pod.health.clean:
            self._judge(pod, head)
        record.status = head.status
        record.streamed = head.event_stream
        more = b""
        tenant = record.tenant
        if tenant is not None and tenant.limited:
            more = tenant.lines(self._now)
        self._keep_alive = self._keep_alive and not head.until_close and not self._state.draining
        if not self._keep_alive:
            more += b"connection: close\r\n"
        return to_client(head, self._reader, lane, pod, record.request_id, more)

    def _key_refused(self) -> bool:
        """Whether it was an external upstream that did not take our key. Then the client hears of that, no more."""
        pod, record = self._pod, self.record
        if pod is None or pod.backend is not None:
            return False
        self._state.externals.distrust(pod)
        refusal = key_refused(self._model.name)
        record.refusal = refusal.code
        record.status = refusal.status
        self._end("5xx")
        self._client.refuse(refusal, keep_alive=self._keep_alive)
        return True

    def _judge(self, pod: Pod, head: ResponseHead) -> None:
        """What the answer says of the pod."""
        if head.status < 500:
            if pod.health.answered():
                self._state.hold.release()
        elif head.status == 503 and head.retry_after >= 0:
            pod.health.busy(self._now, head.retry_after)
        elif head.status in (500, 502, 503, 504):  # others tell of the request: 501 of what the engine does not know
            pod.health.failed(self._now, crc32(self._request.body))

    # --- the end

    def _complete(self) -> None:
        """The answer is whole."""
        head, engine = self._reader.head, self._engine
        assert head is not None
        self._now = self._state.clock()
        self._engine = None
        if engine is not None:
            engine.listener = None
            if self._reader.keep_alive:
                if self._paused:
                    engine.transport.resume_reading()
                give_back(engine, self._now)
            else:
                engine.transport.abort()
        self._end(head.outcome)
        self._client.answered(keep_alive=self._keep_alive)

    def _refuse(self, refusal: Refusal) -> None:
        """Nothing was written yet."""
        self._now = self._state.clock()
        self.record.refusal = refusal.code
        self.record.status = refusal.status
        self._end("")
        self._client.refuse(refusal, keep_alive=self._keep_alive)

    def _failed(self, refusal: Refusal) -> None:
        """The engine broke off, said nothing for too long, or does not speak HTTP."""
        head, pod, record = self._reader.head, self._pod, self.record
        self._now = self._state.clock()
        if pod is not None:
            pod.health.failed(self._now, crc32(self._request.body))
        if head is None:
            record.refusal = refusal.code
            record.status = refusal.status
            self._end("5xx")
            self._client.refuse(refusal, keep_alive=self._keep_alive)
            return
        self._end(BROKEN)
        last_words = broken(self._reader, head, self._model.name)
        delimited = not head.until_close and self._request.head.minor == 1  # the client sees that it is not whole
        self._client.break_off(last_words, reset=not last_words and not delimited)

    def _end(self, outcome: str) -> None:
        """It is over, and is counted."""
        record, pod = self.record, self._pod
        if pod is not None:
            backend = pod.backend
            record.pod = pod.label
            if pod.breaker is not None and outcome:
                self._tell(pod.breaker, outcome)
            if backend is not None:
                record.base_engine_name = backend.base_engine_name
                record.endpoint = backend.endpoint
                record.region = backend.region
        record.outcome = outcome
        record.events = self._reader.events
        record.tail = self._reader.tail()
        record.ended = self._now
        self._let_go()
        self._state.telemetry.ended(record)

    def _tell(self, breaker: Breaker, outcome: str) -> None:
        """What became of the request. Clients who leave, and what they did wrong, say nothing of engines."""
        if outcome == DISCONNECTED:
            breaker.left()
        else:
            breaker.note(outcome != BROKEN and outcome != "5xx", self._now, self.record.engine_name)

    def _let_go(self) -> None:
        """Of the pod, and of the connection to it."""
        lane, pod, engine, dialing = self._lane, self._pod, self._engine, self._dialing
        self._lane = self._pod = self._engine = self._dialing = None
        if dialing is not None:
            dialing.cancel()
        if engine is not None:
            engine.listener = None
            engine.transport.abort()
        if lane is not None and pod is not None:
            lane.finished(pod)
