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
from tunefleet.plan.route_table import Route, RouteTable

from . import errors
from .balancer import Lane
from .client import Client
from .conclusion import conclude, judge
from .course import Course
from .early_answer import EarlyAnswer
from .engines import EngineConnection, give_back, take
from .errors import EngineProtocolError, Refusal
from .hold import Outcome
from .model_field import ModelField
from .pods import Pod
from .record import BROKEN, DISCONNECTED, Record
from .request_reader import Request
from .response_head import ResponseHead
from .response_reader import ResponseReader
from .splice import broken, to_client, to_engine
from .state import GatewayState
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
        self.record = record
        self._course = Course(state, request, model, route, record)
        self._reader = ResponseReader(state.response_heads, plain=request.head.minor == 0)
        self._keep_alive = request.head.keep_alive
        self._retried = False
        self._redialled = False
        self._now = record.started
        """When the clock was last looked at."""
        self._lane: Lane | None = None
        self._pod: Pod | None = None
        self._engine: EngineConnection | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._sent_bytes = 0
        self._paused = False
        self._waiting: Refusal | None = None
        """While no engine can answer: what is answered if none comes."""
        self._waited_since = 0.0
        """When it began to wait; 0.0: it never did."""
        self._joined = 0.0
        self._early: EarlyAnswer | None = None
        """The answer, when it began without an engine."""

    def start(self) -> None:
        """Send the request to an engine, or wait for one. Raises Refusal when it may not wait."""
        if self._go((), alive=False) is None:
            self._wait(errors.unavailable_model(self._model.name))

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
            self._failed(errors.engine_silent(self._model.name, self._state.settings.timeouts.engine))
            return
        self._course.fell_back = False
        self._now = self._state.clock()
        if self._course.route.fallback is None or self._go((), alive=True) is None:
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
        return self._course.route.served_name

    @property
    def tenant(self) -> str:
        """Whose request it is."""
        tenant = self.record.tenant
        return "" if tenant is None else tenant.name

    @property
    def size(self) -> int:
        """Of its body, in bytes."""
        return len(self._request.body)

    def try_again(self, table: RouteTable, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Leave the queue and go to a pod now; None when there is still none."""
        self._course.follow(table)
        self._retried = self._redialled = False
        self._now = self._state.clock()
        return self._go(avoid, alive=alive)

    def give_way(self) -> None:
        """Leave the queue to somebody who has fewer requests in it."""
        self._leave("refused")
        self._refuse(errors.queue_full(self._model.name))

    def comfort(self) -> None:
        """Begin the answer if it will be a stream of events, and say that something goes on."""
        if self._early is None:
            if self._model.fields.stream is not True:
                return
            modern = self._request.head.minor == 1
            self._early = EarlyAnswer(chunked=modern)
            self._course.may_fall_back = False
            self._reader = ResponseReader(self._state.response_heads, plain=True)
            self._client.write(self._early.head(self.record.request_id, close=not self._keep_alive))
        self._client.write(self._early.comment())

    def _wait(self, refusal: Refusal) -> None:
        """Until an engine comes. Raises `refusal`, or another one, when that is not to be."""
        state, route = self._state, self._course.route
        if route.adapter is not None:
            state.demand.missed(route.adapter)
        problem = state.fallbacks.problem(route.fallback) if route.fallback is not None else ""
        if problem:
            refusal = errors.without_fallback(refusal, problem)
        again = self._waited_since > 0.0
        until = state.hold.join(self, self._waited_since if again else None) if route.awaited else None
        if until is None:
            full = route.awaited and state.hold.holds and not again
            raise errors.queue_full(self._model.name) if full else refusal
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
        pod = self._course.choose(self._now, avoid, alive=alive)
        lane = self._course.lane
        if pod is None or lane is None:
            return None
        if self._waiting is not None:
            self._leave("sent")
            self._client.heard()
        self._attempt(lane, pod)
        return pod.key

    def _attempt(self, lane: Lane, pod: Pod) -> None:
        self._lane = lane
        self._pod = pod
        record = self.record
        record.series = lane.series
        record.engine_name = lane.engine_name
        record.fallback = lane.fallback
        if lane.fallback:
            self._course.fell_back = True
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
        other = None if self._retried else self._course.another(lane, pod, self._now)
        if other is not None:
            self._retried = True
            self.record.retries += 1
            self._attempt(lane, other)
            return
        state.telemetry.left(self.record)
        self.record.series = None
        self.record.engine_name = self.record.fallback = ""
        if self._course.route.fallback is not None and self._go((pod.key,), alive=True) is not None:
            return
        try:
            self._wait(errors.unreachable(self._model.name))
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
        reader = self._reader
        begun = reader.head is not None
        try:
            body = reader.feed(data)
        except EngineProtocolError:
            self._failed(errors.engine_lost(self._model.name))
            return
        head = reader.head
        if head is None:
            self._pass_interim()
            return
        if not begun:
            self._pass_interim()
            self._now = self._state.clock()
            if head.status == 401 and self._key_refused():
                return
            top = self._top(head)
            self._client.write(top + body if body and self._early is None else top)
        if body:
            self._pass_body(body, begun)
        if reader.complete:
            self._complete(head)

    def engine_left(self, unacknowledged: int) -> None:
        """The engine closed the connection."""
        self._engine = None
        pod, head = self._pod, self._reader.head
        if head is None and unacknowledged >= self._sent_bytes and pod is not None:
            self._never_arrived(pod)
            return
        self._reader.end_of_stream()
        if head is not None and self._reader.complete:
            self._complete(head)
        else:
            self._failed(errors.engine_lost(self._model.name))

    def _never_arrived(self, pod: Pod) -> None:
        """The engine closed before it had the request. A new connection shows whether it lives."""
        if self._redialled:
            self.not_reached()
        else:
            self._redialled = True
            self._dial(pod)

    def _pass_interim(self) -> None:
        """1xx heads belong to the client (RFC 9110 15.2), but HTTP/1.0 does not know them."""
        interim = self._reader.interim
        if interim:
            if self._request.head.minor == 1 and self._early is None:
                self._client.write(b"".join(interim))
            interim.clear()

    def _pass_body(self, body: bytes, begun: bool) -> None:
        record, early = self.record, self._early
        if early is not None:
            self._client.write(early.pass_on(body))
        elif begun:
            self._client.write(body)
        if record.first_byte == 0.0:  # of the body: vLLM sends a stream's head before it has a token
            if begun:
                self._now = self._state.clock()
            record.first_byte = self._now
        if record.step is not None and STREAMED_ERROR in body:
            record.streamed_error = True

    def _top(self, head: ResponseHead) -> bytes:
        """The head for the client."""
        lane, pod, record = self._lane, self._pod, self.record
        assert lane is not None
        assert pod is not None
        if (head.status >= 500 or not pod.health.clean) and judge(pod, head, self._request.body, self._now):
            self._state.hold.release()
        record.status = head.status
        record.streamed = head.event_stream
        early = self._early
        if early is not None:
            early.begin(head)
            return b""
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
        pod = self._pod
        if pod is None or pod.backend is not None:
            return False
        self._state.externals.distrust(pod)
        self._refuse(errors.key_refused(self._model.name), "5xx")
        return True

    # --- the end

    def _complete(self, head: ResponseHead) -> None:
        """The answer is whole."""
        engine = self._engine
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
        if self._early is not None:
            self._client.write(self._early.end())
        self._client.answered(keep_alive=self._keep_alive)

    def _refuse(self, refusal: Refusal, outcome: str = "") -> None:
        """No engine's answer was passed on."""
        self._now = self._state.clock()
        self.record.refusal = refusal.code
        self.record.status = refusal.status
        self._end(outcome)
        if self._early is None:
            self._client.refuse(refusal, keep_alive=self._keep_alive)
        else:
            self._client.write(self._early.refused(refusal))
            self._client.answered(keep_alive=self._keep_alive)

    def _failed(self, refusal: Refusal) -> None:
        """The engine broke off, said nothing for too long, or does not speak HTTP."""
        head, pod = self._reader.head, self._pod
        self._now = self._state.clock()
        if pod is not None:
            pod.health.failed(self._now, crc32(self._request.body))
        if head is None:
            self._refuse(refusal, "5xx")
            return
        self._end(BROKEN)
        early = self._early
        last_words = broken(self._reader, head, self._model.name, framed=early is not None and early.chunked)
        delimited = not head.until_close and self._request.head.minor == 1  # the client sees that it is not whole
        self._client.break_off(last_words, reset=not last_words and not delimited)

    def _end(self, outcome: str) -> None:
        """It is over, and is counted."""
        conclude(self.record, self._pod, self._reader, outcome, self._now)
        self._let_go()
        self._state.telemetry.ended(self.record)

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
