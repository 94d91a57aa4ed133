"""One client connection: requests in, one at a time, answers out in their order.

The client's bytes are read on while a request is at an engine, so that its leaving is seen at once; what it sends
ahead (pipelining) waits in a small buffer, and past that in the kernel's.
"""

import asyncio
import os
import socket
import struct
from enum import Enum

from .answers import Answer, of_refusal, render
from .connections import Connections
from .deadly_fields import refuse_deadly_fields
from .errors import Refusal, overloaded, too_slow, unknown_model
from .exchange import Exchange
from .model_field import find_model
from .request_head import RequestHead
from .request_reader import Request, RequestReader, Stage
from .routes import answer_here, goes_to_engine
from .state import GatewayState

MAX_PIPELINED = 64 * 1024
"""Bytes of later requests taken in while one is answered."""
LINGER_SECONDS = 2.0
"""How long a closing connection is still read, so that a reset does not overtake the answer (RFC 9112 9.6)."""
IDLE_GRACE_SECONDS = 2.0
"""While draining, idle connections get this long to bring the request that may be on its way."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for zero seconds: the close becomes a TCP reset."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Phase(Enum):
    """What the connection is about."""

    READING = "reading"
    """A request is awaited or arriving."""
    EXCHANGING = "exchanging"
    """A request is at an engine, or waits for one."""
    CLOSING = "closing"
    """The last answer is on its way; what arrives is thrown away."""


class ClientConnection(asyncio.Protocol):
    """The server's half of one connection."""

    def __init__(self, state: GatewayState, connections: "Connections[ClientConnection]") -> None:
        self._state = state
        self._connections = connections
        self._reader = RequestReader(state.settings.limits)
        self._exchange: Exchange | None = None
        self._phase = Phase.READING
        self._request_id = b""
        self._without_body = False
        self._stuck = False
        """The client does not take what waits for it."""
        self._begun = 0.0
        """When the request that is arriving began."""
        self._deadline = float("inf")
        self._transport: asyncio.Transport | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._state.metrics.connections.inc()
        self._await_request()
        if len(self._connections) > self._state.settings.max_connections:
            self._turn_away(overloaded())

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.CLOSING:
            return
        if self._phase is Phase.READING and self._reader.stage is Stage.IDLE:
            self._begun = self._state.clock()
        self._reader.feed(data)
        if self._phase is Phase.READING:
            self._advance()
        elif self._reader.buffered > MAX_PIPELINED:
            self._out.pause_reading()

    def eof_received(self) -> None:
        """A client that closes its half has left, as nginx sees it too: an engine's time is worth more than netcat."""
        self._abandon()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._abandon()
        self._connections.discard(self)
        self._state.metrics.connections.dec()

    def pause_writing(self) -> None:
        self._stuck = True
        self._deadline = self._state.clock() + self._state.settings.timeouts.reader
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        self._stuck = False
        if self._exchange is not None:
            self.heard()
            self._exchange.resume()
        elif self._phase is Phase.READING:
            self._advance()

    # --- requests

    def _advance(self) -> None:
        """Handle what has arrived, until a request is at an engine or more bytes are needed."""
        while self._phase is Phase.READING and not self._stuck:
            try:
                request = self._reader.next()
            except Refusal as refusal:
                self._turn_away(refusal)
                return
            if request is None:
                self._await_more()
                return
            self._handle(request)

    def _handle(self, request: Request) -> None:
        head = request.head
        self._new_request_id(head.request_id)
        self._without_body = head.method == "HEAD"
        try:
            if goes_to_engine(head):
                self._exchange = self._open(request)
                self._phase = Phase.EXCHANGING
                self.heard()
                self._exchange.start()
            else:
                self._answer(answer_here(head, self._state), close=self._closes(head))
        except Refusal as refusal:
            self._exchange = None
            self._refuse(refusal, close=refusal.closes or self._closes(head))

    def _open(self, request: Request) -> Exchange:
        if request.head.encoded:
            raise Refusal(415, "Send the body without Content-Encoding.", "unsupported_encoding")
        model = find_model(request.body)
        refuse_deadly_fields(request.body)
        route = self._state.table.routes.get(model.name)
        if route is None:
            raise unknown_model(model.name)
        return Exchange(self._state, self, request, model, route, self._request_id)

    def _closes(self, head: RequestHead) -> bool:
        return self._state.draining or not head.keep_alive

    def _new_request_id(self, given: bytes | None) -> None:
        self._request_id = given or os.urandom(16).hex().encode()

    # --- for the exchange

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._out.write(data)

    def heard(self) -> None:
        """The engine said something: its time-out starts anew."""
        if not self._stuck:
            self._deadline = self._state.clock() + self._state.settings.timeouts.engine

    def waits(self, until: float) -> None:
        """No engine can answer yet: time is up then."""
        self._deadline = until

    def answered(self, *, keep_alive: bool) -> None:
        """The answer is complete; what comes next on the connection may be handled."""
        self._exchange = None
        if not keep_alive:
            self._linger()
            return
        self._phase = Phase.READING
        self._out.resume_reading()
        self._begun = self._state.clock()
        self._advance()

    def refuse(self, refusal: Refusal, *, keep_alive: bool) -> None:
        """Nothing was written yet: answer with an error of our own."""
        self._exchange = None
        self._refuse(refusal, close=refusal.closes or self._state.draining or not keep_alive)
        self._begun = self._state.clock()
        self._out.resume_reading()
        self._advance()

    def break_off(self, last_words: bytes, *, reset: bool) -> None:
        """Close in the middle of an answer; with a reset where neither framing nor last words say so."""
        self._exchange = None
        self._phase = Phase.CLOSING
        self._deadline = self._state.clock() + self._state.settings.timeouts.reader
        if reset:
            self._out.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._out.abort()
            return
        self._out.write(last_words)
        self._out.close()

    # --- answers

    def _answer(self, answer: Answer, *, close: bool) -> None:
        self._out.write(render(answer, self._request_id, close=close, without_body=self._without_body))
        if close:
            self._linger()
        else:
            self._phase = Phase.READING

    def _refuse(self, refusal: Refusal, *, close: bool) -> None:
        self._state.metrics.refused.labels(refusal.code).inc()
        self._answer(of_refusal(refusal), close=close)

    def _turn_away(self, refusal: Refusal) -> None:
        """Answer what never became a request, and close."""
        self._new_request_id(None)
        self._without_body = False
        self._refuse(refusal, close=True)

    # --- time

    def expire(self, now: float) -> None:
        """Called about once a second: act when the deadline has passed."""
        if self._state.draining and self._phase is Phase.READING and self._reader.stage is Stage.IDLE:
            self._deadline = min(self._deadline, now + IDLE_GRACE_SECONDS)
        if now < self._deadline:
            return
        if self._phase is Phase.CLOSING or self._stuck:
            self._abandon()
            self._out.abort()
        elif self._exchange is not None:
            self._exchange.timed_out()
        elif self._reader.stage is Stage.IDLE:
            self._linger()
        else:
            self._turn_away(too_slow(self._reader.stage.value))

    def _await_request(self) -> None:
        self._deadline = self._state.clock() + self._state.settings.timeouts.idle

    def _await_more(self) -> None:
        """Set the deadline for the next bytes, and let the client go on if it waits for that."""
        timeouts, now = self._state.settings.timeouts, self._state.clock()
        match self._reader.stage:
            case Stage.IDLE:
                self._await_request()
            case Stage.HEAD:
                self._deadline = self._begun + timeouts.head
            case Stage.BODY:
                self._deadline = min(now + timeouts.body, self._begun + timeouts.request)
                if self._reader.take_continue():
                    self._out.write(_CONTINUE)

    # --- the end

    def close(self) -> None:
        """The drain is over: whatever still runs is broken off."""
        self._abandon()
        self._out.abort()

    def _linger(self) -> None:
        """Send what is left and a FIN, and read on for a moment."""
        self._phase = Phase.CLOSING
        self._deadline = self._state.clock() + LINGER_SECONDS
        self._out.resume_reading()
        if not self._out.is_closing():
            self._out.write_eof()

    def _abandon(self) -> None:
        exchange, self._exchange = self._exchange, None
        self._phase = Phase.CLOSING
        if exchange is not None:
            exchange.abandon()

    @property
    def _out(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport
