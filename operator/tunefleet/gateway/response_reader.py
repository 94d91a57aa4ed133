"""Bytes of an engine in, bytes for the client out; no I/O of its own.

The body is passed on as it came, chunk framing included; it is only watched for where it ends, and where its chunks
and events end.
"""

from typing import Final, final

from .chunk_scanner import ChunkScanner
from .errors import EngineProtocolError
from .response_head import ResponseHead, ResponseHeadCache

MAX_HEAD: Final = 64 * 1024
"""Bytes of a response head."""
MAX_TAIL: Final = 4096
"""Bytes at the end of the body that are kept."""

_END: Final = b"\r\n\r\n"
_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_UPGRADE: Final = 101
_FIRST_FINAL: Final = 200
_UNMEASURED: Final = 1 << 62
"""More bytes than any body has."""
_MANY_PIECES: Final = 64


@final
class ResponseReader:
    """One response. Feed it what arrives, forward what it returns, until it is `complete`."""

    def __init__(self, heads: ResponseHeadCache | None = None, *, plain: bool) -> None:
        """`plain`: the client knows no chunks."""
        self._heads = heads if heads is not None else ResponseHeadCache()
        self.plain = plain
        self._unfinished = b""
        """Of a head."""
        self._missing = 0
        """Bytes of the body that are still to come."""
        self._chunks: ChunkScanner | None = None
        self._payload: list[bytes] | None = None
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self.interim: list[bytes] = []
        """1xx heads for the client."""
        self.head: ResponseHead | None = None
        self.digits = b""
        """Of the head's Content-Length."""
        self.events = 0
        """Events with data that were passed on, should it be a stream of events."""
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """The part of the body that is for the client: as it came, or without chunk framing when `plain`.

        Raises EngineProtocolError; then nothing of this data may be passed on.
        """
        head = self.head
        if head is None:
            rest = self._read_heads(data)
            head = self.head
            if rest is None or head is None:
                return b""
            data = rest
        chunks = self._chunks
        if chunks is None:
            self._missing -= len(data)
            if self._missing < 0:
                raise EngineProtocolError("bytes after the end of the response")
            self.complete = self._missing == 0
        elif data:
            chunks.feed(data)
            self.complete = chunks.complete
            if self._payload is not None:
                data = b"".join(self._payload)
                self._payload.clear()
        if data:
            if head.event_stream:
                self.events += data.count(b"\ndata:") + data.startswith(b"data:")
            self._remember(data)
        return data

    def end_of_stream(self) -> None:
        """The engine closed the connection: the regular end of a body that nothing else delimits."""
        head = self.head
        self.complete = self.complete or (head is not None and head.until_close)

    @property
    def keep_alive(self) -> bool:
        """The engine takes another request on this connection."""
        head = self.head
        return self.complete and head is not None and head.keep_alive

    @property
    def framed(self) -> bool:
        """The bytes passed on carry chunk framing."""
        return self._chunks is not None and not self.plain

    @property
    def at_event_boundary(self) -> bool:
        """Whether an event of ours may follow what was passed on: between two events, and between two chunks."""
        chunks = self._chunks
        last = self.tail()[-4:] if chunks is None else chunks.last
        whole = not last or last.endswith(_EVENT_ENDS)
        return whole and (chunks is None or self.plain or chunks.between)

    def tail(self) -> bytes:
        """The last bytes of the body as they were passed on, MAX_TAIL at most."""
        return b"".join(self._tail)[-MAX_TAIL:]

    def _remember(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_bytes += len(data)
        if self._tail_bytes > 4 * MAX_TAIL or len(self._tail) > _MANY_PIECES:
            tail = self.tail()
            self._tail = [tail]
            self._tail_bytes = len(tail)

    def _read_heads(self, data: bytes) -> bytes | None:
        """Set `head` and return what follows it, None while it is not whole; 1xx heads before it go to `interim`."""
        if self._unfinished:
            data = self._unfinished + data
            self._unfinished = b""
        while True:
            end = data.find(_END) + 4
            if end == 3:
                break
            head, digits = self._heads.parse(data[:end])
            if head.status >= _FIRST_FINAL:
                self._begin(head, digits)
                return data[end:]
            if head.status == _UPGRADE:
                raise EngineProtocolError("an upgrade that nobody asked for")
            self.interim.append(head.start + b"\r\n")
            data = data[end:]
        if len(data) > MAX_HEAD:
            raise EngineProtocolError("the head is too large")
        self._unfinished = data
        return None

    def _begin(self, head: ResponseHead, digits: bytes) -> None:
        self.head = head
        self.digits = digits
        if head.bodiless:
            self._missing = 0
        elif digits:
            self._missing = int(digits)
        elif head.chunked:
            self._payload = [] if self.plain else None
            self._chunks = ChunkScanner(self._payload)
        else:
            self._missing = _UNMEASURED
