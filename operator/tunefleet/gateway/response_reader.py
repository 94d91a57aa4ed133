"""Bytes of an engine in, bytes for the client out; no I/O of its own.

The body is passed on as it came, chunk framing included; llhttp (httptools) only watches where it ends and where
its chunks and events end. The head loses hop-by-hop lines and the lines that the gateway writes itself.
"""

import re
from typing import NamedTuple

import httptools

MAX_HEAD = 64 * 1024
"""Bytes of a response head."""

_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_MEANT = re.compile(
    rb"^(connection|transfer-encoding|content-length|content-type|keep-alive|proxy-connection|proxy-authenticate"
    rb"|te|trailer|upgrade|x-request-id|x-tunefleet-[a-z-]*):[ \t]*([^\r\n]*)\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARDED = frozenset({b"content-length", b"content-type"})
"""Lines that mean something here and go on to the client all the same."""
_EVENT_STREAM = b"text/event-stream"

_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EngineProtocolError(Exception):
    """The engine's bytes are not one HTTP response."""


class ResponseHead(NamedTuple):
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

    def _head(self, status: int, status_line: bytes, block: bytes) -> ResponseHead:
        found: dict[bytes, bytes] = {}
        kept, end = [], 0
        for match in _MEANT.finditer(block):
            name = match[1].lower()
            found[name] = match[2]
            if name not in _FORWARDED and not (name == b"transfer-encoding" and not self._plain):
                kept.append(block[end : match.start()])
                end = match.end()
        kept.append(block[end:])
        lines = b"".join(kept)
        self._framed = b"transfer-encoding" in found
        return ResponseHead(
            status,
            status_line,
            _without(lines, found[b"connection"]) if b"connection" in found else lines,
            event_stream=found.get(b"content-type", b"")[: len(_EVENT_STREAM)].lower() == _EVENT_STREAM,
            until_close=not self.complete and not self._framed and b"content-length" not in found,
        )

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


def _without(lines: bytes, connection: bytes) -> bytes:
    """The lines without those that Connection names as meant for this hop."""
    for name in sorted({token.strip().lower() for token in connection.split(b",")} - {b"", b"close", b"keep-alive"}):
        lines = re.sub(rb"(?im)^" + re.escape(name) + rb":[^\r\n]*\r\n", b"", lines)
    return lines
