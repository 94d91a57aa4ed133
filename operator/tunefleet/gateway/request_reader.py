"""Bytes of a connection in, whole requests out; no I/O of its own.

Linear in the bytes that arrive, however they are cut: a head is searched from where the last search ended, a body
of known length is only counted, a chunked one is decoded once.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from .chunked import ChunkedBody
from .errors import malformed, too_large
from .request_head import RequestHead, has_bare_line_feed, parse_head

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take, in bytes."""

    head: int
    body: int


class Request(NamedTuple):
    """A whole request; the body is decoded."""

    head: RequestHead
    body: bytes


class Stage(Enum):
    """What the next bytes belong to."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


class RequestReader:
    """Feed it what arrives, ask it for requests until it has none."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._head: RequestHead | None = None
        self._chunks: ChunkedBody | None = None
        self._owes_continue = False

    def feed(self, data: bytes) -> None:
        """More bytes from the client."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes that arrived and belong to no finished request."""
        return len(self._buffer)

    @property
    def stage(self) -> Stage:
        """What the next bytes belong to."""
        if self._head is not None:
            return Stage.BODY
        return Stage.HEAD if self._buffer else Stage.IDLE

    def take_continue(self) -> bool:
        """Whether the client holds its body back until it is told to go on; True once a request."""
        owed, self._owes_continue = self._owes_continue and not self._buffer, False
        return owed

    def next(self) -> Request | None:
        """The next whole request, if there is one. Raises Refusal; after one that closes, feed no more."""
        if self._head is None and (not self._buffer or not self._read_head()):
            return None
        return self._read_body()

    def _read_head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2: blank lines before a request are skipped
            del self._buffer[:2]
        end = self._buffer.find(_END, self._searched, self._limits.head)
        if end < 0:
            self._check_unfinished()
            return False
        raw = bytes(self._buffer[: end + len(_END)])
        del self._buffer[: len(raw)]
        self._searched = 0
        head = parse_head(raw)
        if head.content_length > self._limits.body:
            raise too_large("body", self._limits.body)
        self._head = head
        self._owes_continue = head.expects_continue
        self._chunks = ChunkedBody(self._limits.body) if head.chunked else None
        return True

    def _check_unfinished(self) -> None:
        if has_bare_line_feed(self._buffer, self._searched, self._limits.head):
            raise malformed("Header lines end with CR LF, never with LF alone.")
        if len(self._buffer) >= self._limits.head:
            raise too_large("head", self._limits.head)
        self._searched = max(0, len(self._buffer) - len(_END) + 1)

    def _read_body(self) -> Request | None:
        head = self._head
        assert head is not None
        body = self._take_length(head.content_length) if self._chunks is None else self._take_chunks(self._chunks)
        if body is None:
            return None
        self._head = self._chunks = None
        return Request(head, body)

    def _take_length(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        with memoryview(self._buffer) as view:
            body = bytes(view[:length])
        del self._buffer[:length]
        return body

    def _take_chunks(self, chunks: ChunkedBody) -> bytes | None:
        consumed = chunks.feed(self._buffer)
        del self._buffer[:consumed]
        return chunks.body() if chunks.complete else None
