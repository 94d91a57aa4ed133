"""The head of an engine's response, parsed strictly, and remembered: engines repeat theirs with another length.

It loses hop-by-hop lines and the lines that the gateway writes itself; every other line is kept as it came.
"""

import re
from typing import Final, final

from .errors import EngineProtocolError
from .header_lines import Lines, sift, tokens, without

MAX_HEADS: Final = 512
"""Heads that are remembered. The date makes a new one every second."""
MAX_BYTES: Final = 2048
"""Longer heads are parsed each time."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) (([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n)"
    rb"((?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
_MEANT: Final = re.compile(
    rb"^(connection|transfer-encoding|content-length|content-type|keep-alive|proxy-connection|proxy-authenticate"
    rb"|te|trailer|upgrade|retry-after|x-request-id|x-tunefleet-[a-z-]*):[ \t]*([^\r]*?) *\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARDED: Final = frozenset({b"content-length", b"content-type", b"transfer-encoding", b"retry-after"})
"""Lines that mean something here and go on to the client all the same."""
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,15})[ \t]*\r\n")
_DIGITS: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,15})\r\n")
_TRANSFER_ENCODING: Final = re.compile(rb"(?im)^transfer-encoding:[^\r]*\r\n")
_EVENT_STREAM: Final = b"text/event-stream"
_BODILESS: Final = (204, 304)
_FIRST_FINAL: Final = 200


@final
class ResponseHead:
    """What a proxy must know of a response head, and the bytes that it passes on. Never changed, and shared."""

    def __init__(self, status: int, minor: int, found: Lines, start: bytes, rest: bytes) -> None:
        """`found`: the lines that mean something, by lower-case name. Raises EngineProtocolError."""
        connection = tokens(found.get(b"connection", []))
        measured = b"content-length" in found
        self.status = status
        self.bodiless = status in _BODILESS
        """It has no body, whatever its lines say."""
        self.start = _TRANSFER_ENCODING.sub(b"", start) if self.bodiless else start
        """The status line and the lines for the client, as they came, up to the digits of the length."""
        self.rest = rest
        """What follows the digits; empty when there is no length."""
        self.chunked = _chunked(found)
        if self.chunked and measured:
            raise EngineProtocolError("Content-Length together with Transfer-Encoding")
        if minor == 0 and (self.chunked or status < _FIRST_FINAL):
            raise EngineProtocolError("chunks or an interim response in HTTP/1.0")
        if status < _FIRST_FINAL and (self.chunked or measured):
            raise EngineProtocolError("an interim response with a body")
        self.until_close = not self.bodiless and not self.chunked and not measured
        """Nothing but the end of the connection says where the body ends."""
        self.keep_alive = minor == 1 and not self.until_close and b"close" not in connection
        """The engine takes another request on this connection."""
        self.event_stream = found.get(b"content-type", [b""])[0][: len(_EVENT_STREAM)].lower() == _EVENT_STREAM
        self.retry_after = _seconds(found.get(b"retry-after", []))
        """Of Retry-After; -1.0 when there is none. A date counts as a second."""
        self.outcome = f"{status // 100}xx"
        """The class of the status, for those who count."""

    def without_chunks(self) -> bytes:
        """`start` for a client that knows no chunks."""
        return _TRANSFER_ENCODING.sub(b"", self.start)


@final
class ResponseHeadCache:
    """What one process remembers. Why this changes nothing of what is refused is said in head_cache.py."""

    def __init__(self) -> None:
        self._known: dict[bytes, ResponseHead] = {}

    def parse(self, raw: bytes) -> tuple[ResponseHead, bytes]:
        """As `parse_response_head`, faster the second time."""
        found = _DIGITS.search(raw)
        if found is None:
            return parse_response_head(raw)
        digits = found[1]
        start = found.start(1)
        key = raw[:start] + raw[start + len(digits) :]
        known = self._known.get(key)
        if known is not None:
            return known, digits
        head, digits = parse_response_head(raw)
        if len(key) <= MAX_BYTES:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            self._known[key] = head
        return head, digits


def parse_response_head(raw: bytes) -> tuple[ResponseHead, bytes]:
    """A head, its final blank line included, and the digits of its Content-Length; empty when it has none.

    Raises EngineProtocolError.
    """
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise EngineProtocolError("the head of the response is not well-formed HTTP/1.1")
    minor, reason, status, block = match.groups()
    status_line = b"HTTP/1.1 " + reason  # ours, whatever the engine speaks (RFC 9110 6.2)
    found: Lines = {}
    lines = sift(block, _MEANT, _FORWARDED, found)
    lines = without(lines, tokens(found.get(b"connection", [])), _FORWARDED)
    length = _LENGTH.search(lines)
    if len(found.get(b"content-length", [])) != (length is not None):
        raise EngineProtocolError("Content-Length is not one decimal number")
    if length is None:
        return ResponseHead(int(status), int(minor), found, status_line + lines, b""), b""
    start, rest = status_line + lines[: length.start(1)], lines[length.end(1) :]
    return ResponseHead(int(status), int(minor), found, start, rest), length[1]


def _seconds(values: list[bytes]) -> float:
    if not values:
        return -1.0
    return float(values[0]) if values[0].isdigit() else 1.0


def _chunked(found: Lines) -> bool:
    values = found.get(b"transfer-encoding", [])
    if not values:
        return False
    if len(values) > 1 or values[0].lower() != b"chunked":
        raise EngineProtocolError("Transfer-Encoding is not one single 'chunked'")
    return True
