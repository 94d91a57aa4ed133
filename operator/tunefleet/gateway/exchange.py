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
from tunefleet.plan.route_table import Route

from . import errors
from .balancer import Lane
from .client import Client
from .conclusion import conclude, judge
from .course import Course
from .engines import EngineConnection, give_back, take
from .errors import EngineProtocolError, Refusal
from .model_field import ModelField
from .place import Place
from .pods import Pod
from .record import BROKEN, DISCONNECTED, Record
from .reply import Reply
from .request_reader import Request
from .response_head import ResponseHead
from .splice import to_engine
from .state import GatewayState


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
        self._record = record
        self._course = Course(state, request, model, route, record)
        self._reply = Reply(state, client, request.head, record)
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
        self._place: Place | None = None
        """In the queue; None when it never waited."""

    @property
    def waits(self) -> bool:
        """No engine can answer yet."""
        place = self._place
        return place is not None and place.refusal is not None

    def start(self) -> None:
        """Send the request to an engine, or wait for one. Raises Refusal when it may not wait."""
        if self._try((), alive=False) is None:
            self._wait(errors.unavailable_model(self._model.name))

    def abandon(self) -> None:
        """The client is gone: the engine's connection closes at once, which frees its slot."""
        place = self._place
        if place is not None and self.waits:
            place.leave("left")
        self._now = self._state.clock()
        self._end(DISCONNECTED)

    def timed_out(self) -> None:
        """The engine said nothing for too long, or none came."""
        place = self._place
        refusal = None if place is None else place.refusal
        if place is None or refusal is None:
            self._failed(errors.engine_silent(self._model.name, self._state.settings.timeouts.engine))
            return
        self._course.fell_back = False
        self._now = self._state.clock()
        if self._course.route.fallback is None or self._try((), alive=True) is None:
            place.leave("expired")
            self.refuse(refusal)

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

    def _wait(self, refusal: Refusal) -> None:
        """Until an engine comes. Raises `refusal`, or another one, when that is not to be."""
        place = self._place or Place(self._state, self, self._course, self._reply, self._record, self._model)
        self._place = place
        self._client.waits(place.take(refusal))

    # --- to the engine

    def go(self, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """After waiting: begin an attempt anew; the pod, None when there is none."""
        self._retried = self._redialled = False
        self._now = self._state.clock()
        return self._try(avoid, alive=alive)

    def _try(self, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Begin an attempt at a pod with the version; None when there is none."""
        pod = self._course.choose(self._now, avoid, alive=alive)
        lane, place = self._course.lane, self._place
        if pod is None or lane is None:
            return None
        if place is not None and place.refusal is not None:
            place.leave("sent")
            self._client.heard()
        self._attempt(lane, pod)
        return pod.key

    def _attempt(self, lane: Lane, pod: Pod) -> None:
        self._lane = lane
        self._pod = pod
        record = self._record
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
            self._record.retries += 1
            self._attempt(lane, other)
            return
        state.telemetry.left(self._record)
        self._record.series = None
        self._record.engine_name = self._record.fallback = ""
        if self._course.route.fallback is not None and self._try((pod.key,), alive=True) is not None:
            return
        try:
            self._wait(errors.unreachable(self._model.name))
        except Refusal as refusal:
            self.refuse(refusal)

    def _send(self, engine: EngineConnection) -> None:
        lane = self._lane
        assert lane is not None
        self._engine = engine
        pieces, self._sent_bytes = to_engine(self._request, self._model, lane, engine.pod, self._record.request_id)
        self._record.sent = self._now
        engine.send(self, pieces)
        if self._paused:
            engine.transport.pause_reading()
        self._client.heard()

    # --- from the engine

    def engine_said(self, data: bytes) -> None:
        """Bytes of the response."""
        self._client.heard()
        reply = self._reply
        reader = reply.reader
        begun = reader.head is not None
        try:
            body = reader.feed(data)
        except EngineProtocolError:
            self._failed(errors.engine_lost(self._model.name))
            return
        head = reader.head
        if not begun:
            reply.pass_interim()
        if head is None:
            return
        if not begun:
            if not self._begin(head, body):
                return
        elif body:
            if self._record.first_byte == 0.0:
                self._now = self._state.clock()
            reply.go_on(body, self._now)
        if reader.complete:
            self._complete(head)

    def _begin(self, head: ResponseHead, body: bytes) -> bool:
        """Pass the head on. False when it is not for the client: an upstream outside did not take our key."""
        lane, pod = self._lane, self._pod
        assert lane is not None
        assert pod is not None
        self._now = self._state.clock()
        if head.status == 401 and pod.backend is None:
            self._state.externals.distrust(pod)
            self.refuse(errors.key_refused(self._model.name), "5xx")
            return False
        if (head.status >= 500 or not pod.health.clean) and judge(pod, head, self._request.body, self._now):
            self._state.hold.release()
        self._reply.begin(head, body, lane, pod, self._now)
        return True

    def engine_left(self, unacknowledged: int) -> None:
        """The engine closed the connection."""
        self._engine = None
        reader = self._reply.reader
        pod, head = self._pod, reader.head
        if head is None and unacknowledged >= self._sent_bytes and pod is not None:
            self._never_arrived(pod)
            return
        reader.end_of_stream()
        if head is not None and reader.complete:
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

    # --- the end

    def _complete(self, head: ResponseHead) -> None:
        """The answer is whole."""
        engine = self._engine
        self._now = self._state.clock()
        self._engine = None
        if engine is not None and self._reply.reader.keep_alive:
            if self._paused:
                engine.transport.resume_reading()
            give_back(engine, self._now)
        elif engine is not None:
            engine.drop()
        self._end(head.outcome)
        self._reply.end()

    def refuse(self, refusal: Refusal, outcome: str = "") -> None:
        """No engine's answer was passed on."""
        self._now = self._state.clock()
        self._record.refusal = refusal.code
        self._record.status = refusal.status
        self._end(outcome)
        self._reply.refuse(refusal)

    def _failed(self, refusal: Refusal) -> None:
        """The engine broke off, said nothing for too long, or does not speak HTTP."""
        head, pod = self._reply.reader.head, self._pod
        self._now = self._state.clock()
        if pod is not None:
            pod.health.failed(self._now, crc32(self._request.body))
        if head is None:
            self.refuse(refusal, "5xx")
            return
        self._end(BROKEN)
        self._reply.break_off(head, self._model.name)

    def _end(self, outcome: str) -> None:
        """It is over, and is counted."""
        conclude(self._record, self._pod, self._reply.reader, outcome, self._now)
        self._let_go()
        self._state.telemetry.ended(self._record)

    def _let_go(self) -> None:
        """Of the pod, and of the connection to it."""
        lane, pod, engine, dialing = self._lane, self._pod, self._engine, self._dialing
        self._lane = self._pod = self._engine = self._dialing = None
        if dialing is not None:
            dialing.cancel()
        if engine is not None:
            engine.drop()
        if lane is not None and pod is not None:
            lane.finished(pod)
