"""One request head, parsed strictly: what cannot be read in exactly one way is refused.

Two servers that disagree about where a request ends is what request smuggling lives on, so this grammar is
narrower than RFC 9112 allows recipients to be: no obs-fold, no bare LF, no blank before a colon, no repeated or
listed Content-Length, no Transfer-Encoding but a single `chunked`, never both, no absolute-form targets, no methods
but RFC 9110's and PATCH.

Two regular expressions do the work at C speed: one that the whole head must match, and one that finds the few
lines that mean something to a proxy. Everything else is kept as it came.
"""

import re
from typing import NamedTuple

from .errors import Refusal, malformed

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_METHOD = rb"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT"
_HEAD = re.compile(
    rb"(?P<method>" + _METHOD + rb") (?P<target>/[!-~]*) HTTP/1\.(?P<minor>[01])\r\n"
    rb"(?P<lines>(?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
_MEANT = re.compile(
    rb"^(host|connection|content-length|content-encoding|transfer-encoding|expect|x-request-id"
    rb"|keep-alive|proxy-connection|te|trailer|upgrade|authorization|proxy-authorization"
    rb"|x-tunefleet-[a-z-]*):[ \t]*([^\r]*?)[ \t]*\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARDED = frozenset({b"host", b"content-encoding"})
"""Lines that mean something here and go on to the engine all the same."""
_SESSION = b"x-tunefleet-session"
_IDENTITY = [b"identity"]
_NO_TOKENS: frozenset[bytes] = frozenset()
_LENGTH = re.compile(rb"[0-9]{1,15}")
_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class RequestHead(NamedTuple):
    """What a proxy must know of a head, and the lines that it passes on."""

    method: str
    target: bytes
    """Path and query, as they came."""
    path: str
    """The target without its query; percent-encoding is left alone."""
    minor: int
    """HTTP/1.minor."""
    kept: bytes
    """Header lines for the engine, as they came: without hop-by-hop lines, credentials, lengths and x-request-id."""
    content_length: int
    """0 when there is none, and when the body is chunked."""
    chunked: bool
    keep_alive: bool
    """The client means to send more on this connection."""
    expects_continue: bool
    """The client waits for 100 Continue before it sends the body."""
    encoded: bool
    """The body is compressed."""
    has_host: bool
    request_id: bytes | None
    """The client's own x-request-id, when it is one word of at most 128 characters."""
    session: bytes | None = None
    """x-tunefleet-session, for the choice of a version; the first, should there be several."""


class _Meant(NamedTuple):
    lines: dict[bytes, list[bytes]]
    kept: bytes


def has_bare_line_feed(data: bytearray, start: int, end: int) -> bool:
    """Whether an LF stands alone in data[start:end]: a head that holds one never ends as ours must."""
    return _BARE_LINE_FEED.search(data, start, end) is not None


def parse_head(raw: bytes) -> RequestHead:
    """Parse a head, its final blank line included. Raises Refusal for what is malformed or not supported."""
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise malformed("The request head is not well-formed HTTP/1.1.")
    target, minor = match["target"], int(match["minor"])
    lines, kept = _sift(match["lines"])
    connection = _tokens(lines[b"connection"]) if b"connection" in lines else _NO_TOKENS
    return RequestHead(
        method=match["method"].decode("ascii"),
        target=target,
        path=target.partition(b"?")[0].decode("ascii"),
        minor=minor,
        kept=_without(kept, connection) if connection else kept,
        content_length=_content_length(lines),
        chunked=_chunked(lines, minor),
        keep_alive=minor == 1 and b"close" not in connection,
        expects_continue=_expects_continue(lines, minor),
        encoded=lines.get(b"content-encoding", _IDENTITY) != _IDENTITY,
        has_host=_has_host(lines, minor),
        request_id=_request_id(lines),
        session=lines[_SESSION][0] if _SESSION in lines else None,
    )


def _sift(block: bytes) -> _Meant:
    """The lines that mean something, by lower-case name, and the block without those that stop here."""
    lines: dict[bytes, list[bytes]] = {}
    kept, end = [], 0
    for match in _MEANT.finditer(block):
        name = match[1].lower()
        lines.setdefault(name, []).append(match[2])
        if name not in _FORWARDED:
            kept.append(block[end : match.start()])
            end = match.end()
    kept.append(block[end:])
    return _Meant(lines, b"".join(kept))


def _tokens(values: list[bytes]) -> frozenset[bytes]:
    return frozenset(t.strip(b" \t").lower() for value in values for t in value.split(b","))


def _without(kept: bytes, connection: frozenset[bytes]) -> bytes:
    """The lines without those that Connection names as meant for this hop."""
    named = connection - {b"", b"close", b"keep-alive"} - _FORWARDED
    if not named:
        return kept
    pattern = b"|".join(re.escape(name) for name in sorted(named))
    return re.sub(rb"(?im)^(?:" + pattern + rb"):[^\r]*\r\n", b"", kept)


def _content_length(lines: dict[bytes, list[bytes]]) -> int:
    values = lines.get(b"content-length", ())
    if not values:
        return 0
    if b"transfer-encoding" in lines:
        raise malformed("A request has either Content-Length or Transfer-Encoding, not both.")
    if len(values) > 1 or not _LENGTH.fullmatch(values[0]):
        raise malformed("Content-Length must be one decimal number.")
    return int(values[0])


def _chunked(lines: dict[bytes, list[bytes]], minor: int) -> bool:
    values = lines.get(b"transfer-encoding", ())
    if not values:
        return False
    if minor == 0 or len(values) > 1 or values[0].lower() != b"chunked":
        raise malformed("Transfer-Encoding must be one single 'chunked', in HTTP/1.1.")
    return True


def _expects_continue(lines: dict[bytes, list[bytes]], minor: int) -> bool:
    values = lines.get(b"expect", ())
    if any(value.lower() != b"100-continue" for value in values):
        raise Refusal(417, "Only 'Expect: 100-continue' is understood.", "expectation_failed", closes=True)
    return bool(values) and minor == 1


def _has_host(lines: dict[bytes, list[bytes]], minor: int) -> bool:
    count = len(lines.get(b"host", ()))
    if count > 1 or (count == 0 and minor == 1):
        raise malformed("A request needs exactly one Host header.")
    return count == 1


def _request_id(lines: dict[bytes, list[bytes]]) -> bytes | None:
    values = lines.get(b"x-request-id", ())
    return values[0] if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]) else None
