"""Bytes of an engine in, bytes for the client out; no I/O of its own.

The body is passed on as it came, chunk framing included; llhttp (httptools) only watches where it ends and where
its chunks and events end. The head loses hop-by-hop lines and the lines that the gateway writes itself.
"""

import re
from dataclasses import dataclass

import httptools

MAX_HEAD = 64 * 1024
"""Bytes of a response head."""

_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_DROPPED = re.compile(
    rb"^(?:connection|keep-alive|proxy-connection|proxy-authenticate|te|trailer|upgrade"
    rb"|x-request-id|x-tunefleet-[a-z-]*):[^\r\n]*\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_CONNECTION = re.compile(rb"^connection:([^\r\n]*)\r\n", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length:", re.IGNORECASE | re.MULTILINE)
_EVENT_STREAM = re.compile(rb"^content-type:[ \t]*text/event-stream", re.IGNORECASE | re.MULTILINE)

_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EngineProtocolError(Exception):
    """The engine's bytes are not one HTTP response."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What a proxy must know of a response head, and the lines that it passes on."""

    status: int
    status_line: bytes
    lines: bytes
    """Header lines for the client, as they came."""
    event_stream: bool
    until_close: bool
    """Nothing but the end of the connection says where the body ends."""


class ResponseReader:
    """One response. Feed it what arrives, forward what it returns, until it is `complete`."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self._buffer = bytearray()
        self._parser = httptools.HttpResponseParser(self)
        self._messages = 0
        self._decoded: list[bytes] = []
        self._in_chunk = False
        self._framed = False
        self._raw_tail = b""
        self._tail = b""
        self.interim: list[bytes] = []
        """1xx heads, as they came."""
        self.head: ResponseHead | None = None
        self.complete = False
        self.keep_alive = False
        """The engine takes another request on this connection."""

    def feed(self, data: bytes) -> bytes:
        """The part of the body that is for the client: as it came, or without chunk framing when `plain`.

        Raises EngineProtocolError; then nothing of this data may be passed on.
        """
        if self.head is None:
            self._buffer += data
            data = self._read_heads()
            if self.head is None:
                return b""
        self._parse(data)
        if self._plain:
            data = b"".join(self._decoded)
            self._decoded.clear()
        elif data:
            self._raw_tail = (self._raw_tail + data[-2:])[-2:]
        return data

    def end_of_stream(self) -> None:
        """The engine closed the connection: the regular end of a body that nothing else delimits."""
        self.complete = self.complete or (self.head is not None and self.head.until_close)

    @property
    def at_event_boundary(self) -> bool:
        """Whether an event of ours may follow what was passed on: between two events, and between two chunks."""
        whole = not self._tail or self._tail.endswith(_EVENT_ENDS)
        if self._plain or not self._framed:
            return whole
        return whole and not self._in_chunk and self._raw_tail in (b"", b"\r\n")

    @property
    def framed(self) -> bool:
        """The bytes passed on carry chunk framing."""
        return self._framed and not self._plain

    def _read_heads(self) -> bytes:
        """Set `head` and return what follows it; 1xx heads before it go to `interim`."""
        while (end := self._buffer.find(_END)) >= 0:
            raw = bytes(self._buffer[: end + len(_END)])
            del self._buffer[: len(raw)]
            match = _STATUS.match(raw)
            if match is None:
                raise EngineProtocolError("no status line")
            status = int(match[1])
            if status >= 200:
                self._parse(raw)
                self.head = self._head(status, raw[: match.end()], raw[match.end() : -2])
                rest = bytes(self._buffer)
                self._buffer.clear()
                return rest
            if status == 101:
                raise EngineProtocolError("an upgrade that nobody asked for")
            self.interim.append(raw)
        if len(self._buffer) > MAX_HEAD:
            raise EngineProtocolError("the head is too large")
        return b""

    def _head(self, status: int, status_line: bytes, lines: bytes) -> ResponseHead:
        self._framed = _CHUNKED.search(lines) is not None
        until_close = not self.complete and not self._framed and _LENGTH.search(lines) is None
        return ResponseHead(
            status,
            status_line,
            self._kept(lines),
            event_stream=_EVENT_STREAM.search(lines) is not None,
            until_close=until_close,
        )

    def _kept(self, lines: bytes) -> bytes:
        kept = _DROPPED.sub(b"", lines)
        named = {t.strip().lower() for m in _CONNECTION.finditer(lines) for t in m[1].split(b",")}
        for name in sorted(named - {b"", b"close", b"keep-alive"}):
            kept = re.sub(rb"(?im)^" + re.escape(name) + rb":[^\r\n]*\r\n", b"", kept)
        return _CHUNKED.sub(b"", kept) if self._plain else kept

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise EngineProtocolError(str(error)) from None
        if self._messages > 1:
            raise EngineProtocolError("bytes after the end of the response")

    # called by httptools

    def on_message_begin(self) -> None:
        self._messages += 1

    def on_body(self, data: bytes) -> None:
        self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]
        if self._plain:
            self._decoded.append(data)

    def on_chunk_header(self) -> None:
        self._in_chunk = True

    def on_chunk_complete(self) -> None:
        self._in_chunk = False

    def on_message_complete(self) -> None:
        self.keep_alive = self._parser.should_keep_alive()  # llhttp forgets it once this call is over
        self.complete = True
