"""One request head, parsed strictly: what cannot be read in exactly one way is refused.

Two servers that disagree about where a request ends is what request smuggling lives on, so this grammar is
narrower than RFC 9112 allows recipients to be: no obs-fold, no bare LF, no blank before a colon, no repeated or
listed Content-Length, no Transfer-Encoding but a single `chunked`, never both, no absolute-form targets, no methods
but RFC 9110's and PATCH.

Two regular expressions do the work at C speed: one that the whole head must match, and one that finds the few
lines that mean something to a proxy. Everything else is kept as it came. `head_cache.py` keeps heads from being
parsed again.
"""

import re
from typing import Final, final

from .access import Tenant
from .errors import Refusal, malformed
from .header_lines import Lines, sift, tokens, without

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_METHOD: Final = rb"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE"
_HEAD: Final = re.compile(
    rb"(" + _METHOD + rb") (/[!-~]*) HTTP/1\.([01])\r\n((?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
_MEANT: Final = re.compile(
    rb"^(host|connection|content-length|content-encoding|transfer-encoding|expect|x-request-id|traceparent|tracestate"
    rb"|keep-alive|proxy-connection|te|trailer|upgrade|authorization|proxy-authorization|x-api-key"
    rb"|x-tunefleet-[a-z-]*):[ \t]*([^\r]*?)[ \t]*\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARDED: Final = frozenset({b"host", b"content-encoding", b"traceparent", b"tracestate"})
"""Lines that mean something here and go on to the engine all the same."""
_PASSING: Final = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
"""Lines that are another one in each request."""
_SESSION: Final = b"x-tunefleet-session"
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")


@final
class RequestHead:
    """What a proxy must know of a head, and the lines that it passes on. Never changed, and shared between requests."""

    def __init__(self, method: str, target: bytes, minor: int, lines: Lines, kept: bytes) -> None:
        """`kept`: the lines that go on. Raises Refusal."""
        connection = tokens(lines[b"connection"]) if b"connection" in lines else frozenset()
        self.method = method
        self.target = target
        """Path and query, as they came."""
        self.path: str = target.partition(b"?")[0].decode("ascii")
        """The target without its query; percent-encoding is left alone."""
        self.minor = minor
        """HTTP/1.minor."""
        self.kept = without(kept, connection, _FORWARDED) if connection else kept
        """Lines for the engine, as they came: without hop-by-hop lines, credentials, lengths and x-request-id."""
        self.chunked = _chunked(lines, minor)
        self.keep_alive = minor == 1 and b"close" not in connection
        """The client means to send more on this connection."""
        self.expects_continue = _expects_continue(lines, minor)
        """The client waits for 100 Continue before it sends the body."""
        self.encoded = any(value.lower() != b"identity" for value in lines.get(b"content-encoding", []))
        """The body is compressed."""
        self.has_host = _has_host(lines, minor)
        self.authorization = _single(lines, b"authorization")
        self.api_key = _single(lines, b"x-api-key")
        self.request_id = _word(lines, b"x-request-id", _REQUEST_ID)
        """The client's own x-request-id, when it is one word of at most 128 characters."""
        self.traceparent = _word(lines, b"traceparent", _TRACEPARENT) or b""
        """As it came when it is one as W3C has it; empty otherwise."""
        self.session = lines[_SESSION][0] if _SESSION in lines else None
        """x-tunefleet-session, for the choice of a version; the first, should there be several."""
        self.recurs = _PASSING.isdisjoint(lines)
        """The client's next request may have the very same head."""
        self.start = b"%b %b HTTP/1.1\r\n%b" % (method.encode(), target, self.kept)
        """What an engine gets first."""
        self.tenant: Tenant | None = None
        """Whose credentials these are; good while `tenant_generation` is that of the keys. See connection.py."""
        self.tenant_generation = -1


def has_bare_line_feed(data: bytearray, start: int, end: int) -> bool:
    """Whether an LF stands alone in data[start:end]: a head that holds one never ends as ours must."""
    return _BARE_LINE_FEED.search(data, start, end) is not None


def parse_head(raw: bytes) -> tuple[RequestHead, int]:
    """A head, its final blank line included, and its Content-Length: 0 when it has none, and when the body is chunked.

    Raises Refusal for what is malformed or not supported.
    """
    method, target, minor, lines, kept = split_head(raw)
    return RequestHead(method, target, minor, lines, kept), _content_length(lines)


def split_head(raw: bytes) -> tuple[str, bytes, int, Lines, bytes]:
    """What a RequestHead is made of. Raises Refusal."""
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise malformed("The request head is not well-formed HTTP/1.1.")
    method, target, minor, block = match.groups()
    lines: Lines = {}
    kept = sift(block, _MEANT, _FORWARDED, lines)
    return method.decode("ascii"), target, int(minor), lines, kept


def _content_length(lines: Lines) -> int:
    values = lines.get(b"content-length", [])
    if not values:
        return 0
    if b"transfer-encoding" in lines:
        raise malformed("A request has either Content-Length or Transfer-Encoding, not both.")
    if len(values) > 1 or not _LENGTH.fullmatch(values[0]):
        raise malformed("Content-Length must be one decimal number.")
    return int(values[0])


def _chunked(lines: Lines, minor: int) -> bool:
    values = lines.get(b"transfer-encoding", [])
    if not values:
        return False
    if minor == 0 or len(values) > 1 or values[0].lower() != b"chunked":
        raise malformed("Transfer-Encoding must be one single 'chunked', in HTTP/1.1.")
    return True


def _expects_continue(lines: Lines, minor: int) -> bool:
    values = lines.get(b"expect", [])
    if any(value.lower() != b"100-continue" for value in values):
        raise Refusal(417, "Only 'Expect: 100-continue' is understood.", "expectation_failed", closes=True)
    return bool(values) and minor == 1


def _has_host(lines: Lines, minor: int) -> bool:
    count = len(lines.get(b"host", []))
    if count > 1 or (count == 0 and minor == 1):
        raise malformed("A request needs exactly one Host header.")
    return count == 1


def _single(lines: Lines, name: bytes) -> bytes | None:
    """A credential. Which of two would count is anybody's guess."""
    values = lines.get(name, [])
    if len(values) > 1:
        raise malformed(f"A request has at most one {name.decode()} header.")
    return values[0] if values else None


def _word(lines: Lines, name: bytes, pattern: re.Pattern[bytes]) -> bytes | None:
    values = lines.get(name, [])
    return values[0] if len(values) == 1 and pattern.fullmatch(values[0]) else None
