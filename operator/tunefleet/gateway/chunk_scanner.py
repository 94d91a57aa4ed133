"""Where the chunks of an engine's answer begin and end. The bytes pass as they came; this only watches them.

As strict as `chunked.py` is with clients. Engines mostly write one event as one chunk, and one chunk arrives in one
read, so that case has a way of its own.
"""

import re
from typing import Final, final

from .errors import EngineProtocolError

MAX_LINE: Final = 4096
"""Bytes of a size line or of a trailer line, line end included."""
MAX_TRAILERS: Final = 16 * 1024
"""Bytes of all trailer lines."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb'|"[\t !#-\[\]-~]*"))?)*+')
_TRAILER: Final = re.compile(
    rb"(?!content-length:|transfer-encoding:)" + _TOKEN + rb":[\t -~\x80-\xff]*", re.IGNORECASE
)
_LINE_END: Final = b"\r\n"
_LONGEST_SIZE: Final = 10
"""Bytes in which the size line of a chunk that came alone is looked for."""

_AT_SIZE: Final = 0
_IN_DATA: Final = 1
_AFTER_DATA: Final = 2
_IN_TRAILERS: Final = 3
_AT_END: Final = 4


@final
class ChunkScanner:
    """One body. Feed it everything that arrives of it, until it is `complete`."""

    def __init__(self, payload: list[bytes] | None = None) -> None:
        """`payload`: the list that gets what the chunks hold, should anybody want it."""
        self._payload = payload
        self._at = _AT_SIZE
        self._missing = 0
        """Bytes of data that the present chunk still lacks."""
        self._line = b""
        """The beginning of a line whose end has not come."""
        self._trailers = 0
        self.last = b""
        """The last bytes of the data: four, or all there were."""

    @property
    def complete(self) -> bool:
        """The last chunk and the trailers are over."""
        return self._at == _AT_END

    @property
    def between(self) -> bool:
        """Another chunk may stand here."""
        return self._at == _AT_SIZE and not self._line

    def feed(self, data: bytes) -> None:
        """Look at what comes next. Raises EngineProtocolError when it cannot be a part of the body."""
        if self._at != _AT_SIZE or self._line or self._payload is not None or not self._one_chunk(data):
            self._scan(data)

    def _one_chunk(self, data: bytes) -> bool:
        """Whether the data is one whole chunk, and nothing else."""
        end = data.find(_LINE_END, 0, _LONGEST_SIZE)
        if end <= 0:
            return False
        size = 0
        for place in range(end):
            digit = data[place]
            if 0x30 <= digit <= 0x39:
                size = size * 16 + digit - 0x30
            elif 0x61 <= digit <= 0x66:
                size = size * 16 + digit - 0x57
            else:
                return False
        if size < 4 or end + size + 4 != len(data) or not data.endswith(_LINE_END):
            return False
        self.last = data[-6:-2]
        return True

    def _scan(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            if self._at == _AT_END:
                raise EngineProtocolError("bytes after the end of the response")
            take = self._take_data if self._at == _IN_DATA else self._take_line
            position = take(data, position)

    def _take_data(self, data: bytes, position: int) -> int:
        piece = data[position : position + self._missing]
        self._missing -= len(piece)
        self.last = (self.last + piece[-4:])[-4:]
        if self._payload is not None:
            self._payload.append(piece)
        if not self._missing:
            self._at = _AFTER_DATA
        return position + len(piece)

    def _take_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position) + 1
        line = self._line + data[position : end or len(data)]
        if len(line) > MAX_LINE or (self._at == _AFTER_DATA and not _LINE_END.startswith(line)):
            raise EngineProtocolError("a chunk is longer than its size says, or a line of it is too long")
        if not end:
            self._line = line
            return len(data)
        self._line = b""
        if not line.endswith(_LINE_END):
            raise EngineProtocolError("a line of the chunked body does not end with CR LF")
        self._end_line(line[:-2])
        return end

    def _end_line(self, line: bytes) -> None:
        if self._at == _AFTER_DATA:
            self._at = _AT_SIZE
        elif self._at == _AT_SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise EngineProtocolError("a chunk's size is no hexadecimal number")
            self._missing = int(match[1], 16)
            self._at = _IN_DATA if self._missing else _IN_TRAILERS
        elif not line:
            self._at = _AT_END
        else:
            self._trailers += len(line)
            if self._trailers > MAX_TRAILERS or not _TRAILER.fullmatch(line):
                raise EngineProtocolError("the trailers are malformed or too long")
