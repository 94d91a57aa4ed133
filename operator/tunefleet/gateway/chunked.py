"""A chunked request body, decoded as it arrives. Strict: hexadecimal sizes, CR LF everywhere, bounded lines.

Chunk extensions are read over (RFC 9112 7.1.1, without optional blanks and escapes), trailers are dropped (7.1.2), both
within bounds.
"""

import re

from .errors import malformed, too_large

MAX_LINE = 256
"""Bytes of a chunk-size line, extension and line end included."""
MAX_TRAILERS = 4096
"""Bytes of all trailer lines."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb'|"[\t !#-\[\]-~]*"))?)*+')
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_LINE_END = b"\r\n"


class ChunkedBody:
    """One body. `feed` it the buffer until it is `complete`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoded = bytearray()
        self._length = 0
        self._missing: int | None = None
        """Bytes that the present chunk still lacks, its line end included; None between chunks."""
        self._trailers: int | None = None
        """Bytes of trailer lines seen; None before the last chunk."""
        self.complete = False

    def body(self) -> bytes:
        """Everything decoded so far."""
        return bytes(self._decoded)

    def feed(self, buffer: bytearray) -> int:
        """Decode from the start of the buffer; the number of bytes that are done with. Raises Refusal."""
        position = 0
        while not self.complete:
            step = self._step(buffer, position)
            if step == position:
                break
            position = step
        return position

    def _step(self, buffer: bytearray, position: int) -> int:
        if self._missing is not None:
            return self._data(buffer, position)
        end = buffer.find(_LINE_END, position, position + MAX_LINE)
        if end < 0:
            if len(buffer) - position >= MAX_LINE or b"\n" in buffer[position:]:
                raise malformed("A line of the chunked body is too long, or does not end with CR LF.")
            return position
        line = bytes(buffer[position:end])
        if self._trailers is None:
            self._size(line)
        else:
            self._trailer(line)
        return end + len(_LINE_END)

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise malformed("A chunk's size must be 1 to 8 hexadecimal digits; its extensions must be well-formed.")
        size = int(match[1], 16)
        self._length += size
        if self._length > self._limit:
            raise too_large("body", self._limit)
        if size:
            self._missing = size + len(_LINE_END)
        else:
            self._trailers = 0

    def _data(self, buffer: bytearray, position: int) -> int:
        """Take what is there of the chunk; its line end only as a whole."""
        assert self._missing is not None
        payload = self._missing - len(_LINE_END)
        taken = min(payload, len(buffer) - position)
        if taken > 0:
            self._decoded += buffer[position : position + taken]
            self._missing -= taken
            position += taken
        if self._missing == len(_LINE_END) and len(buffer) - position >= len(_LINE_END):
            if buffer[position : position + len(_LINE_END)] != _LINE_END:
                raise malformed("A chunk is longer than its size says.")
            self._missing = None
            position += len(_LINE_END)
        return position

    def _trailer(self, line: bytes) -> None:
        assert self._trailers is not None
        if not line:
            self.complete = True
            return
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS or not _TRAILER.fullmatch(line):
            raise malformed("The chunked body's trailers are malformed or too long.")
