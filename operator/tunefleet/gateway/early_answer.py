"""The answer of a stream that began before any engine did: comments while it waits, so that nothing hangs up.

The status line is gone by then, so an error can only be an event, as it is in a stream that breaks.
"""

from typing import Final, final

from .answers import chunk, event_of
from .errors import Refusal
from .response_head import ResponseHead

MAX_ERROR: Final = 64 * 1024
"""Bytes of an engine's error that fit into an event."""

_TOP: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
_COMMENT: Final = b": waiting for an engine\n\n"


@final
class EarlyAnswer:
    """Of one request; bytes for its client."""

    def __init__(self, *, chunked: bool) -> None:
        self.chunked = chunked
        self._streams = False
        self._other = b""
        """An answer that is no stream of events, as far as it has come."""

    def head(self, request_id: bytes, *, close: bool) -> bytes:
        """The status line and the header lines."""
        framing = b"transfer-encoding: chunked\r\n" if self.chunked else b""
        end = b"connection: close\r\n" if close else b""
        return b"%bx-request-id: %b\r\n%b%b\r\n" % (_TOP, request_id, framing, end)

    def comment(self) -> bytes:
        """Nothing to those who read events, and a sign of life to all others."""
        return self._wrapped(_COMMENT)

    def begin(self, head: ResponseHead) -> None:
        """An engine answers."""
        self._streams = head.event_stream and head.status == 200

    def pass_on(self, body: bytes) -> bytes:
        """What the engine says, without chunk framing; nothing of what is no stream of events, before its end."""
        if self._streams:
            return self._wrapped(body)
        self._other = (self._other + body)[:MAX_ERROR]
        return b""

    def end(self) -> bytes:
        """The engine's answer is whole."""
        if self._streams:
            return self._last()
        line = b" ".join(self._other.splitlines())
        return self._wrapped(b"event: error\ndata: %b\n\n" % line) + self._last()

    def refused(self, refusal: Refusal) -> bytes:
        """No engine came."""
        return self._wrapped(event_of(refusal)) + self._last()

    def _wrapped(self, data: bytes) -> bytes:
        return chunk(data) if self.chunked and data else data

    def _last(self) -> bytes:
        return b"0\r\n\r\n" if self.chunked else b""
