"""One request at an engine: choose, connect, send, pass the answer on, and say so when the engine breaks off.

The rule about repeating: a request goes to a second engine only when the first took no connection, and at most
once. From the first byte sent, nobody can know whether it ran, and running it twice may cost or do something twice.
"""

import asyncio
from typing import Protocol

from tunefleet.plan.routing import Route

from .answers import chunk, event_of
from .balancer import Choice
from .engines import EngineConnection
from .errors import Refusal, engine_lost, engine_silent, stream_broken, unavailable_model, unreachable
from .metrics import DISCONNECTED
from .model_field import ModelField
from .request_reader import Request
from .response_reader import EngineProtocolError, ResponseHead, ResponseReader
from .state import GatewayState

RETRY_UNAVAILABLE = 5
"""Retry-After, in seconds, for a model that no engine holds: about the time in which an adapter is loaded."""
RETRY_UNREACHABLE = 1
"""Retry-After, in seconds, when engines took no connection: by then the table knows more."""


class Client(Protocol):
    """The connection that the request came on."""

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""

    def heard(self) -> None:
        """The engine said something: its time-out starts anew."""

    def answered(self, *, keep_alive: bool) -> None:
        """The answer is complete; what comes next on the connection may be handled."""

    def refuse(self, refusal: Refusal, *, keep_alive: bool) -> None:
        """Nothing was written yet: answer with an error of our own."""

    def break_off(self, last_words: bytes, *, reset: bool) -> None:
        """Close in the middle of an answer; with a reset where neither framing nor last words say so."""


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
        self._retried = False
        self._body_begun = False
        self._choice: Choice | None = None
        self._engine: EngineConnection | None = None
        self._dialing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send the request to an engine. Raises Refusal when no engine holds the version."""
        choice = self._state.balancer.choose(self._route)
        if choice is None:
            raise unavailable_model(self._model.name, RETRY_UNAVAILABLE)
        self._attempt(choice)

    def abandon(self) -> None:
        """The client is gone: the engine's connection closes at once, which frees its slot."""
        self._end(DISCONNECTED)

    def timed_out(self) -> None:
        """The engine said nothing for too long."""
        self._failed(engine_silent(self._model.name, self._state.settings.timeouts.engine))

    def pause(self) -> None:
        """The client does not take what waits for it."""
        if self._engine is not None:
            self._engine.transport.pause_reading()

    def resume(self) -> None:
        """The client takes more."""
        if self._engine is not None:
            self._engine.transport.resume_reading()

    # --- to the engine

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
        self._state.balancer.shun(choice.backend)
        other = None if self._retried else self._state.balancer.choose(self._route, avoid=choice.backend)
        if other is None:
            self._failed(unreachable(self._model.name, RETRY_UNREACHABLE))
            return
        self._end(None)
        self._retried = True
        self._state.metrics.retries.inc()
        self._attempt(other)

    def _send(self, engine: EngineConnection, choice: Choice) -> None:
        self._engine = engine
        engine.listener = self
        engine.transport.writelines(self._outgoing(choice))
        self._client.heard()

    def _outgoing(self, choice: Choice) -> list[bytes | memoryview]:
        """The request with another name for the model, our credentials, and every other byte as it came."""
        head, body, model = self._request.head, self._request.body, self._model
        name = b'"' + choice.target.engine_name.encode() + b'"'
        length = len(body) - (model.end - model.start) + len(name)
        host = b"" if head.has_host else b"host: %b\r\n" % choice.backend.ip.encode()
        top = b"POST %b HTTP/1.1\r\n%b%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (
            head.target,
            head.kept,
            host,
            self._state.keys.of(choice.backend),
            self._request_id,
            length,
        )
        view = memoryview(body)
        return [top, view[: model.start], name, view[model.end :]]

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
        if body and not self._body_begun:
            self._observe_first_byte()
        if body:
            self._client.write(top + body)
        elif top:
            self._client.write(top)
        if self._reader.complete:
            self._complete()

    def engine_left(self) -> None:
        """The engine closed the connection."""
        self._engine = None
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
        """The head for the client: the engine's, less hop-by-hop lines, and ours."""
        choice = self._choice
        assert choice is not None
        self._keep_alive = self._keep_alive and not head.until_close and not self._state.draining
        return b"%b%bx-request-id: %b\r\nx-tunefleet-model: %b\r\nx-tunefleet-base: %b\r\n%b\r\n" % (
            head.status_line,
            head.lines,
            self._request_id,
            choice.target.engine_name.encode(),
            choice.backend.base_engine_name.encode(),
            b"" if self._keep_alive else b"connection: close\r\n",
        )

    def _observe_first_byte(self) -> None:
        """Of the body, not of the head: vLLM sends a stream's head before it has a token."""
        self._body_begun = True
        head, choice = self._reader.head, self._choice
        if head is not None and choice is not None and head.event_stream and head.status == 200:
            elapsed = self._state.clock() - self._started
            self._state.metrics.version(choice.target.engine_name).first_token.observe(elapsed)

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
        last_words = self._last_words(head)
        self._client.break_off(last_words, reset=not last_words and not self._delimited(head))

    def _last_words(self, head: ResponseHead) -> bytes:
        """An error event, where one can stand between two of the engine's own."""
        if not head.event_stream or not self._reader.at_event_boundary:
            return b""
        event = event_of(stream_broken(self._model.name))
        return chunk(event) if self._reader.framed else event

    def _delimited(self, head: ResponseHead) -> bool:
        """Whether the client can tell a broken answer from a whole one by its framing alone."""
        return not head.until_close and self._request.head.minor == 1

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
