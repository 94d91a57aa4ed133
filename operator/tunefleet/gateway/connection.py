"""One client connection: requests in, one at a time, answers out in their order.

The client's bytes are read on while a request is at an engine, so that its leaving is seen at once; what it sends
ahead (pipelining) waits in a small buffer, and past that in the kernel's.
"""

import asyncio
import socket
import struct
from typing import Final, cast, final

from .access import ANYONE
from .admission import admit, tenant_of
from .answers import Answer, of_refusal, render
from .connections import Connections
from .errors import Refusal, overloaded, too_slow
from .exchange import Exchange
from .record import Record
from .request_head import RequestHead
from .request_reader import Request, RequestReader, Stage
from .routes import answer_here, goes_to_engine, needs_key
from .state import GatewayState

MAX_PIPELINED: Final = 64 * 1024
"""Bytes of later requests taken in while one is answered."""
LINGER_SECONDS: Final = 2.0
"""How long a closing connection is still read, so that a reset does not overtake the answer (RFC 9112 9.6)."""
IDLE_GRACE_SECONDS: Final = 2.0
"""While draining, idle connections get this long to bring the request that may be on its way."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for zero seconds: the close becomes a TCP reset."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# What the connection is about; no Enum, as every read looks at it.
_READING: Final = 0
"""A request is awaited or arriving."""
_EXCHANGING: Final = 1
"""A request is at an engine, or waits for one."""
_CLOSING: Final = 2
"""The last answer is on its way; what arrives is thrown away."""


@final
class ClientConnection:
    """The server's half of one connection. An asyncio protocol, by its methods."""

    def __init__(self, state: GatewayState, connections: "Connections[ClientConnection]") -> None:
        self._state = state
        self._connections = connections
        self._reader = RequestReader(state.settings.limits, state.heads)
        self._exchange: Exchange | None = None
        self._phase = _READING
        self._request_id = b""
        self._without_body = False
        self._stuck = False
        """The client does not take what waits for it."""
        self._paused = False
        """More waits to be read than is taken in."""
        self._begun = 0.0
        """When the request that is arriving began."""
        self._deadline = float("inf")
        self._transport: asyncio.Transport | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._state.telemetry.counters.connections += 1
        self._await_request()
        if len(self._connections) > self._state.settings.max_connections:
            self._turn_away(overloaded())

    def data_received(self, data: bytes) -> None:
        """The loop's."""
        reader = self._reader
        if self._phase == _READING and not self._stuck:
            try:
                request = reader.whole(data)
            except Refusal as refusal:
                self._turn_away(refusal)
                return
            if request is not None:
                self._handle(request)
                return
            if reader.idle:
                self._begun = self._state.clock()
            reader.feed(data)
            self._advance()
        elif self._phase != _CLOSING:
            if reader.idle:
                self._begun = self._state.clock()
            reader.feed(data)
            if reader.buffered > MAX_PIPELINED:
                self._paused = True
                self._out.pause_reading()

    def eof_received(self) -> None:
        """A client that closes its half has left, as nginx sees it too: an engine's time is worth more than netcat."""
        self._abandon()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The loop's."""
        self._abandon()
        self._connections.discard(self)
        self._state.telemetry.counters.connections -= 1

    def pause_writing(self) -> None:
        """The loop's."""
        self._stuck = True
        self._deadline = self._state.clock() + self._state.settings.timeouts.reader
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """The loop's."""
        self._stuck = False
        exchange = self._exchange
        if exchange is not None:
            self.heard()
            exchange.resume()
        elif self._phase == _READING:
            self._advance()

    # --- requests

    def _advance(self) -> None:
        """Handle what has arrived, until a request is at an engine or more bytes are needed."""
        while self._phase == _READING and not self._stuck:
            try:
                request = self._reader.next()
                if request is None:
                    self._check_key()
            except Refusal as refusal:
                self._turn_away(refusal)
                return
            if request is None:
                self._await_more()
                return
            self._handle(request)

    def _handle(self, request: Request) -> None:
        head = request.head
        state = self._state
        self._request_id = head.request_id or state.request_ids.next()
        self._without_body = head.method == "HEAD"
        record = Record(self._request_id, head.method, head.path, state.clock())
        record.body_bytes = len(request.body)
        record.traceparent = head.traceparent
        try:
            if goes_to_engine(head):
                exchange = admit(state, self, request, record)
                self._exchange = exchange
                self._phase = _EXCHANGING
                self.heard()
                exchange.start()
            else:
                tenant = tenant_of(state.access, head) if needs_key(head) else ANYONE
                record.tenant = tenant
                answer = answer_here(head, state, tenant)
                record.status = answer.status
                state.telemetry.ended(record)
                self._answer(answer, close=self._closes(head))
        except Refusal as refusal:
            self._exchange = None
            self._end(record, refusal)
            self._refuse(refusal, close=refusal.closes or self._closes(head))

    def _check_key(self) -> None:
        """Whoever has no key shall not fill the memory with a body that is refused in the end. Raises Refusal."""
        head = self._reader.arriving
        if head is not None and needs_key(head):
            tenant_of(self._state.access, head)

    def _closes(self, head: RequestHead) -> bool:
        return self._state.draining or not head.keep_alive

    # --- for the exchange

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._out.write(data)

    def heard(self) -> None:
        """The engine said something: its time-out starts anew."""
        if not self._stuck:
            self._deadline = self._state.now + self._state.engine_timeout

    def waits(self, until: float) -> None:
        """No engine can answer yet: time is up then."""
        self._deadline = until

    def answered(self, *, keep_alive: bool) -> None:
        """The answer is complete; what comes next on the connection may be handled."""
        self._exchange = None
        if keep_alive:
            self._next()
        else:
            self._linger()

    def refuse(self, refusal: Refusal, *, keep_alive: bool) -> None:
        """Nothing was written yet: answer with an error of our own."""
        self._exchange = None
        self._refuse(refusal, close=refusal.closes or self._state.draining or not keep_alive)
        if self._phase == _READING:
            self._next()

    def break_off(self, last_words: bytes, *, reset: bool) -> None:
        """Close in the middle of an answer; with a reset where neither framing nor last words say so."""
        self._exchange = None
        self._phase = _CLOSING
        self._deadline = self._state.clock() + self._state.settings.timeouts.reader
        if reset:
            self._out.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._out.abort()
            return
        self._out.write(last_words)
        self._out.close()

    def _next(self) -> None:
        """Another request may come, or has come already."""
        self._phase = _READING
        if self._paused:
            self._paused = False
            self._out.resume_reading()
        if self._reader.idle:
            self._await_request()
        else:
            self._begun = self._state.clock()
            self._advance()

    # --- answers

    def _answer(self, answer: Answer, *, close: bool) -> None:
        self._out.write(render(answer, self._request_id, close=close, without_body=self._without_body))
        if close:
            self._linger()
        else:
            self._phase = _READING
            self._await_request()

    def _end(self, record: Record, refusal: Refusal) -> None:
        """A request that never went anywhere is over."""
        record.refusal = refusal.code
        record.status = refusal.status
        self._state.telemetry.ended(record)

    def _refuse(self, refusal: Refusal, *, close: bool) -> None:
        self._answer(of_refusal(refusal), close=close)

    def _turn_away(self, refusal: Refusal) -> None:
        """Answer what never became a request, and close."""
        self._request_id = self._state.request_ids.next()
        self._without_body = False
        self._end(Record(self._request_id, "", "", self._state.clock()), refusal)
        self._refuse(refusal, close=True)

    # --- time

    def expire(self, now: float) -> None:
        """Called about once a second: act when the deadline has passed."""
        if self._state.draining and self._phase == _READING and self._reader.idle:
            self._deadline = min(self._deadline, now + IDLE_GRACE_SECONDS)
        if now < self._deadline:
            return
        exchange = self._exchange
        if self._phase == _CLOSING or self._stuck:
            self.close()
        elif exchange is not None:
            exchange.timed_out()
        elif self._reader.idle:
            self._linger()
        else:
            self._turn_away(too_slow(self._reader.stage.value))

    def _await_request(self) -> None:
        self._deadline = self._state.now + self._state.idle_timeout

    def _await_more(self) -> None:
        """Set the deadline for the next bytes, and let the client go on if it waits for that."""
        timeouts, now = self._state.settings.timeouts, self._state.clock()
        stage = self._reader.stage
        if stage is Stage.IDLE:
            self._await_request()
        elif stage is Stage.HEAD:
            self._deadline = self._begun + timeouts.head
        else:
            self._deadline = min(now + timeouts.body, self._begun + timeouts.request)
            if self._reader.take_continue():
                self._out.write(_CONTINUE)

    # --- the end

    def end(self) -> None:
        """The drain is over: who still waits for an engine is told so, whatever runs is broken off."""
        exchange = self._exchange
        if exchange is not None and exchange.waits:
            exchange.timed_out()
        if self._exchange is not None or self._phase != _CLOSING:
            self.close()

    def close(self) -> None:
        """Break off whatever still runs."""
        self._abandon()
        self._out.abort()

    def _linger(self) -> None:
        """Send what is left and a FIN, and read on for a moment."""
        self._phase = _CLOSING
        self._deadline = self._state.clock() + LINGER_SECONDS
        out = self._out
        if self._paused:
            self._paused = False
            out.resume_reading()
        if out.is_closing():
            return
        if not out.can_write_eof():  # TLS says itself where the end is
            out.close()
            return
        try:
            out.write_eof()
        except OSError:  # the client has reset the connection, and the loop has not told us yet
            out.abort()

    def _abandon(self) -> None:
        exchange = self._exchange
        self._exchange = None
        self._phase = _CLOSING
        if exchange is not None:
            exchange.abandon()

    @property
    def _out(self) -> asyncio.Transport:
        transport = self._transport
        assert transport is not None
        return transport
