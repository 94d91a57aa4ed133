"""Bytes of a connection in, whole requests out; no I/O of its own.

Linear in the bytes that arrive, however they are cut: a head is searched from where the last search ended, a body
of known length is only counted, a chunked one is decoded once. A request that arrives alone and whole, as most do, is
cut out of the bytes as they came (`whole`).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, final

from .chunked import ChunkedBody
from .errors import malformed, too_large
from .head_cache import HeadCache
from .request_head import RequestHead, has_bare_line_feed

_END: Final = b"\r\n\r\n"
_CARRIAGE_RETURN: Final = 13


@dataclass(frozen=True)
class Limits:
    """What one request may take, in bytes."""

    head: int
    body: int


@final
class Request:
    """A whole request; the body is decoded."""

    def __init__(self, head: RequestHead, body: bytes) -> None:
        self.head = head
        self.body = body


class Stage(Enum):
    """What the next bytes belong to."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


@final
class RequestReader:
    """Feed it what arrives, ask it for requests until it has none."""

    def __init__(self, limits: Limits, heads: HeadCache | None = None) -> None:
        self._max_head = limits.head
        self._max_body = limits.body
        self._heads = heads if heads is not None else HeadCache()
        self._buffer: bytearray | None = None
        """None while nothing waits: thousands of connections are idle."""
        self._searched = 0
        self._head: RequestHead | None = None
        self._length = 0
        """Of the body that `_head` announces."""
        self._chunks: ChunkedBody | None = None
        self._owes_continue = False

    def whole(self, data: bytes) -> Request | None:
        """The request that all of `data` is, when nothing was fed before; else None, and `data` is to be fed."""
        if self._buffer is not None or self._head is not None or data[0] == _CARRIAGE_RETURN:
            return None
        end = data.find(_END, 0, self._max_head) + 4
        if end == 3:
            return None
        head, length = self._heads.parse(data[:end])
        if head.chunked or len(data) - end != length or length > self._max_body:
            return None
        return Request(head, data[end:])

    def feed(self, data: bytes) -> None:
        """More bytes from the client."""
        if self._buffer is None:
            self._buffer = bytearray(data)
        else:
            self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes that arrived and belong to no finished request."""
        return 0 if self._buffer is None else len(self._buffer)

    @property
    def stage(self) -> Stage:
        """What the next bytes belong to."""
        if self._head is not None:
            return Stage.BODY
        return Stage.HEAD if self._buffer else Stage.IDLE

    @property
    def idle(self) -> bool:
        """Nothing of a request has arrived."""
        return self._head is None and not self._buffer

    @property
    def arriving(self) -> RequestHead | None:
        """The head of a request whose body has not arrived as a whole."""
        return self._head

    def take_continue(self) -> bool:
        """Whether the client holds its body back until it is told to go on; True once a request."""
        owed = self._owes_continue and not self._buffer
        self._owes_continue = False
        return owed

    def next(self) -> Request | None:
        """The next whole request, if there is one. Raises Refusal; after one that closes, feed no more."""
        buffer = self._buffer
        if buffer is None:
            buffer = bytearray()
        head = self._head
        if head is None:
            head = self._read_head(buffer) if buffer else None
        request = None if head is None else self._read_body(head, buffer)
        if not buffer:
            self._buffer = None
        return request

    def _read_head(self, buffer: bytearray) -> RequestHead | None:
        while buffer.startswith(b"\r\n"):  # RFC 9112 2.2: blank lines before a request are skipped
            del buffer[:2]
        end = buffer.find(_END, self._searched, self._max_head)
        if end < 0:
            self._check_unfinished(buffer)
            return None
        raw = bytes(buffer[: end + len(_END)])
        del buffer[: len(raw)]
        self._searched = 0
        head, length = self._heads.parse(raw)
        if length > self._max_body:
            raise too_large("body", self._max_body)
        self._head = head
        self._length = length
        self._owes_continue = head.expects_continue
        self._chunks = ChunkedBody(self._max_body) if head.chunked else None
        return head

    def _check_unfinished(self, buffer: bytearray) -> None:
        if has_bare_line_feed(buffer, self._searched, self._max_head):
            raise malformed("Header lines end with CR LF, never with LF alone.")
        if len(buffer) >= self._max_head:
            raise too_large("head", self._max_head)
        self._searched = max(0, len(buffer) - len(_END) + 1)

    def _read_body(self, head: RequestHead, buffer: bytearray) -> Request | None:
        chunks = self._chunks
        body = self._take_length(buffer) if chunks is None else _take_chunks(chunks, buffer)
        if body is None:
            return None
        self._head = self._chunks = None
        return Request(head, body)

    def _take_length(self, buffer: bytearray) -> bytes | None:
        length = self._length
        if len(buffer) < length:
            return None
        with memoryview(buffer) as view:
            body = bytes(view[:length])
        del buffer[:length]
        return body


def _take_chunks(chunks: ChunkedBody, buffer: bytearray) -> bytes | None:
    consumed = chunks.feed(buffer)
    del buffer[:consumed]
    return chunks.body() if chunks.complete else None
