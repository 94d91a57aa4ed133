"""One request at an engine: choose, connect, send, pass the answer on, and say so when the engine breaks off.

The rule about repeating: a request goes to another engine only when the first took no connection: at once to one
that holds the same version, and when there is none it waits for one (hold.py). From the first byte sent, nobody can
know whether it ran, and running it twice may cost or do something twice; unless TCP says that none of it arrived.
"""

import asyncio
from collections.abc import Collection

from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Route, RouteTable, Target

from .balancer import Choice
from .client import Client
from .engines import EngineConnection
from .errors import Refusal, engine_lost, engine_silent, queue_full, unavailable_model, unreachable
from .metrics import DISCONNECTED
from .model_field import ModelField
from .request_reader import Request
from .response_reader import EngineProtocolError, ResponseHead, ResponseReader
from .splice import broken, to_client, to_engine
from .state import GatewayState
from .stickiness import draw, point_of
from .trials import STREAMED_ERROR, Step


class Exchange:
    """From a whole request to the end of its answer."""

    def __init__(
        self, state: GatewayState, client: Client, request: Request, model: ModelField, route: Route, request_id: bytes
    ) -> None:
        self._state = state
        self._client = client
        self._request = request
        self._model = model
        self._route = route
        self._request_id = request_id
        self._started = state.clock()
        self._reader = ResponseReader(plain=request.head.minor == 0)
        self._keep_alive = request.head.keep_alive
        self._retried = self._redialled = False
        self._body_begun = False
        self._choice: Choice | None = None
        self._engine: EngineConnection | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._point = -1
        """Of the session, among the versions of a name that has several."""
        self._trial: Step | None = None
        self._streamed_error = False
        self._waiting: Refusal | None = None
        """While no engine can answer: what is answered if none comes."""
        self._waited_since: float | None = None

    def start(self) -> None:
        """Send the request to an engine, or wait for one. Raises Refusal when it may not wait."""
        if self._go() is None:
            self._wait(unavailable_model(self._model.name))

    def abandon(self) -> None:
        """The client is gone: the engine's connection closes at once, which frees its slot."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._state.hold.leave(self, "left")
        self._end(DISCONNECTED)

    def timed_out(self) -> None:
        """The engine said nothing for too long, or none came."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._failed(engine_silent(self._model.name, self._state.settings.timeouts.engine))
            return
        self._state.hold.leave(self, "expired")
        self._client.refuse(waiting, keep_alive=self._keep_alive)

    def pause(self) -> None:
        """The client does not take what waits for it."""
        if self._engine is not None:
            self._engine.transport.pause_reading()

    def resume(self) -> None:
        """The client takes more."""
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
        self._retried = self._redialled = False
        return self._go(avoid, alive=alive)

    def _wait(self, refusal: Refusal) -> None:
        """Until an engine comes. Raises `refusal`, or another one, when that is not to be."""
        state, route = self._state, self._route
        if route.adapter is not None:
            state.demand.missed(route.adapter)
        until = state.hold.join(self, self._waited_since) if route.awaited else None
        if until is None:
            full = route.awaited and state.settings.hold.seconds and self._waited_since is None
            raise queue_full(self._model.name) if full else refusal
        self._waited_since = until - state.settings.hold.seconds
        self._waiting = refusal
        self._client.waits(until)

    # --- to the engine

    def _go(self, avoid: Collection[Key] = (), *, alive: bool = False) -> Key | None:
        """Begin an attempt at the least busy pod with the version; None when there is none."""
        targets = self._route.targets
        target = targets[0] if len(targets) == 1 else self._draw(targets)
        backend = None if target is None else self._state.balancer.choose(target, avoid, alive=alive)
        if target is None or backend is None:
            return None
        if self._waiting is not None:
            self._waiting = None
            self._state.hold.leave(self, "sent")
            self._started = self._state.clock()
            self._client.heard()
        self._attempt(Choice(target, backend))
        return backend.pod

    def _draw(self, targets: tuple[Target, ...]) -> Target | None:
        """A version by weight, the same one for all requests of a session."""
        if self._point < 0:
            self._point = point_of(self._request.head.session, self._request.body, self._route.served_name)
        self._trial = self._state.demand.trials.of(self._route.served_name)
        return draw(targets, self._point)

    def _attempt(self, choice: Choice) -> None:
        self._choice = choice
        self._state.balancer.started(choice.backend)
        self._state.metrics.version(choice.target.engine_name).started()
        engine = self._state.pool.take(choice.backend)
        if engine is None:
            self._dialing = asyncio.get_running_loop().create_task(self._dial(choice))
        else:
            self._send(engine, choice)

    async def _dial(self, choice: Choice) -> None:
        try:
            engine = await self._state.pool.dial(choice.backend)
        except OSError:
            self._dialing = None
            self._not_reached(choice)
        else:
            self._dialing = None
            self._send(engine, choice)

    def _not_reached(self, choice: Choice) -> None:
        """It did not run. Another pod with the same version may have it at once, else it waits."""
        state = self._state
        state.balancer.shun(choice.backend)
        other = None if self._retried else state.balancer.choose(choice.target, (choice.backend.pod,), alive=True)
        self._end(None)
        if other is not None:
            self._retried = True
            state.metrics.retries.inc()
            self._attempt(Choice(choice.target, other))
            return
        try:
            self._wait(unreachable(self._model.name))
        except Refusal as refusal:
            self._client.refuse(refusal, keep_alive=self._keep_alive)

    def _never_arrived(self, choice: Choice) -> None:
        """The engine closed before it had the request. A new connection shows whether it lives."""
        if self._redialled:
            self._not_reached(choice)
            return
        self._redialled = True
        self._dialing = asyncio.get_running_loop().create_task(self._dial(choice))

    def _send(self, engine: EngineConnection, choice: Choice) -> None:
        self._engine = engine
        engine.listener = self
        engine.transport.writelines(self._outgoing(choice))
        self._client.heard()

    def _outgoing(self, choice: Choice) -> list[bytes | memoryview]:
        authorization = self._state.keys.of(choice.backend)
        return to_engine(self._request, self._model, choice, authorization, self._request_id)

    # --- from the engine

    def engine_said(self, data: bytes) -> None:
        """Bytes of the response."""
        self._client.heard()
        begun = self._reader.head is not None
        try:
            body = self._reader.feed(data)
        except EngineProtocolError:
            self._failed(engine_lost(self._model.name))
            return
        self._pass_interim()
        head = self._reader.head
        top = b"" if begun or head is None else self._top(head)
        if self._trial is not None and STREAMED_ERROR in body:
            self._streamed_error = True
        if body and not self._body_begun:
            self._observe_first_byte()
        if body:
            self._client.write(top + body)
        elif top:
            self._client.write(top)
        if self._reader.complete:
            self._complete()

    def engine_left(self, unacknowledged: int) -> None:
        """The engine closed the connection."""
        self._engine = None
        choice = self._choice
        if choice is not None and self._reader.head is None and unacknowledged >= sum(map(len, self._outgoing(choice))):
            self._never_arrived(choice)
            return
        self._reader.end_of_stream()
        if self._reader.complete:
            self._complete()
        else:
            self._failed(engine_lost(self._model.name))

    def _pass_interim(self) -> None:
        """1xx heads belong to the client (RFC 9110 15.2), but HTTP/1.0 does not know them."""
        if self._reader.interim and self._request.head.minor == 1:
            self._client.write(b"".join(self._reader.interim))
        self._reader.interim.clear()

    def _top(self, head: ResponseHead) -> bytes:
        choice = self._choice
        assert choice is not None
        if self._state.balancer.waits_for_signs:
            self._state.alive(choice.backend.pod)
        self._keep_alive = self._keep_alive and not head.until_close and not self._state.draining
        return to_client(head, choice, self._request_id, close=not self._keep_alive)

    def _observe_first_byte(self) -> None:
        """Of the body, not of the head: vLLM sends a stream's head before it has a token."""
        self._body_begun = True
        head, choice = self._reader.head, self._choice
        if head is not None and choice is not None and head.event_stream and head.status == 200:
            elapsed = self._state.clock() - self._started
            self._state.metrics.version(choice.target.engine_name).first_token.observe(elapsed)
            if self._trial is not None and not self._streamed_error:
                self._trial.sample(choice.target.engine_name).answered_after(elapsed)

    # --- the end

    def _complete(self) -> None:
        head = self._reader.head
        assert head is not None
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.listener = None
            if self._reader.keep_alive:
                engine.transport.resume_reading()
                self._state.pool.give_back(engine)
            else:
                engine.transport.abort()
        self._end(f"{head.status // 100}xx")
        self._client.answered(keep_alive=self._keep_alive)

    def _failed(self, refusal: Refusal) -> None:
        """The engine broke off, said nothing for too long, or does not speak HTTP."""
        choice, head = self._choice, self._reader.head
        self._end("5xx")
        if head is None:
            self._client.refuse(refusal, keep_alive=self._keep_alive)
            return
        if choice is not None:
            self._state.metrics.version(choice.target.engine_name).broke()
        last_words = broken(self._reader, head, self._model.name)
        delimited = not head.until_close and self._request.head.minor == 1  # the client sees that it is not whole
        self._client.break_off(last_words, reset=not last_words and not delimited)

    def _end(self, code: str | None) -> None:
        """The attempt is over: let go of what it holds, and count it unless another attempt follows (None)."""
        choice, self._choice = self._choice, None
        engine, self._engine = self._engine, None
        dialing, self._dialing = self._dialing, None
        if dialing is not None:
            dialing.cancel()
        if engine is not None:
            engine.listener = None
            engine.transport.abort()
        if choice is not None:
            self._state.balancer.finished(choice.backend)
            self._state.metrics.version(choice.target.engine_name).finished(code)
            if self._trial is not None and code is not None and (code != DISCONNECTED or self._body_begun):
                self._trial.ended(choice.target.engine_name, failed=code == "5xx" or self._streamed_error)
