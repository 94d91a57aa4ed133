"""Heads that were parsed before: a client that keeps its connection sends the same one again and again.

The key is the head without the digits of its Content-Length. That changes nothing of what is refused. Only a head that
was parsed as a whole and accepted is remembered, so the key of a known one is made of well-formed lines, with exactly
one Content-Length and no Transfer-Encoding; digits, and nothing else, are put into that one.

Heads with a name or a trace of their own for each request are remembered without these values, by the same argument.
"""

import re
from typing import Final, final

from .header_lines import Lines
from .request_head import RequestHead, parse_head, split_head

MAX_HEADS: Final = 2048
"""Heads that are remembered: one for each key and kind of client, about 2 KiB each."""
MAX_BYTES: Final = 4096
"""Longer heads are parsed each time."""

_DIGITS: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,15})\r\n")
_PASSING: Final = re.compile(
    rb"\r\n(?:[Xx]-[Rr]equest-[Ii][Dd]: ([!-~]{1,128})"
    rb"|[Tt]raceparent: ([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}))(?=\r\n)"
)
"""Lines that are another one in each request."""
_REQUEST_ID: Final = b"x-request-id"
_TRACEPARENT: Final = b"traceparent"
_TRACESTATE: Final = b"tracestate"


@final
class Template:
    """A head but for the name and the trace of its request."""

    def __init__(self, method: str, target: bytes, minor: int, lines: Lines, before: bytes, after: bytes) -> None:
        """`before` and `after`: the lines that go on, cut where the trace stands."""
        self._method = method
        self._target = target
        self._minor = minor
        self._lines = lines
        self._before = before
        self._after = after
        self._last: RequestHead | None = None

    def head(self, request_id: bytes, traceparent: bytes) -> RequestHead:
        """The head of one request; empty: it has no such line."""
        lines = self._lines.copy()
        if request_id:
            lines[_REQUEST_ID] = [request_id]
        if traceparent:
            lines[_TRACEPARENT] = [traceparent]
        kept = self._before + traceparent + self._after
        head = RequestHead(self._method, self._target, self._minor, lines, kept)
        last = self._last
        if last is not None:  # with the same credentials
            head.tenant = last.tenant
            head.tenant_generation = last.tenant_generation
        self._last = head
        return head


@final
class HeadCache:
    """What one process remembers."""

    def __init__(self) -> None:
        self._known: dict[bytes, RequestHead] = {}
        self._templates: dict[bytes, Template] = {}

    def parse(self, raw: bytes) -> tuple[RequestHead, int]:
        """As `parse_head`, faster the second time."""
        found = _DIGITS.search(raw)
        if found is None:  # its own key would be that of a head with digits where this one lacks them
            return parse_head(raw)
        digits = found[1]
        start = found.start(1)
        key = raw[:start] + raw[start + len(digits) :]
        known = self._known.get(key)
        if known is not None:
            return known, int(digits)
        if len(key) > MAX_BYTES:
            return parse_head(raw)
        passing = list(_PASSING.finditer(key))
        if passing:
            return self._parse_passing(raw, key, int(digits), passing)
        head, length = parse_head(raw)
        if head.recurs:
            if len(self) >= MAX_HEADS:
                self._forget()
            self._known[key] = head
        return head, length

    def _parse_passing(
        self, raw: bytes, key: bytes, length: int, passing: list[re.Match[bytes]]
    ) -> tuple[RequestHead, int]:
        request_id, traceparent = b"", b""
        pieces, end = [], 0
        for match in passing:
            group = 1 if match[1] is not None else 2
            if group == 1:
                request_id = match[1]
            else:
                traceparent = match[2]
            pieces.append(key[end : match.start(group)])
            end = match.end(group)
        pieces.append(key[end:])
        key = b"".join(pieces)
        template = self._templates.get(key)
        if template is not None:
            return template.head(request_id, traceparent), length
        accepted = parse_head(raw)
        made = _template(raw, request_id, traceparent)
        if made is not None:
            if len(self) >= MAX_HEADS:
                self._forget()
            self._templates[key] = made
        return accepted

    def __len__(self) -> int:
        return len(self._known) + len(self._templates)

    def _forget(self) -> None:
        self._known.clear()
        self._templates.clear()


def _template(raw: bytes, request_id: bytes, traceparent: bytes) -> Template | None:
    """Of a head that was accepted; None when the values are not all that may be another one next time."""
    method, target, minor, lines, kept = split_head(raw)
    ids, traces = lines.get(_REQUEST_ID, []), lines.get(_TRACEPARENT, [])
    if _TRACESTATE in lines or len(ids) != bool(request_id) or len(traces) != bool(traceparent):
        return None
    if not traceparent:
        return Template(method, target, minor, lines, kept, b"")
    match = re.search(rb"(?im)^traceparent: (.*)\r\n", kept)
    assert match is not None  # it goes on
    return Template(method, target, minor, lines, kept[: match.start(1)], kept[match.end(1) :])
