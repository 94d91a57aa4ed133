"""What we accept, llhttp reads in the same way; what it reads otherwise, we refuse. Bytes are built from odd parts."""

from dataclasses import dataclass, field

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.request_reader import Limits, RequestReader, Stage

REQUEST_LINES = [
    b"POST /a HTTP/1.1",
    b"GET /b?c=d HTTP/1.1",
    b"POST /a HTTP/1.0",
    b"PUT  /a HTTP/1.1",
    b"POST /a HTTP/1.1 ",
]
LINES = [
    b"Host: h",
    b"Content-Length: 5",
    b"content-length:5",
    b"Content-Length: 0",
    b"Content-Length: 05",
    b"Content-Length: 5,5",
    b"Content-Length: +5",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:\tCHUNKED",
    b"Transfer-Encoding: chunked ",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"X-Empty:",
    b"X: a\x01b",
    b" folded",
    b"\tfolded",
    b"X: \xff",
    b"X",
    b"",
]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r"]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;x=y\r\nhello\r\n0\r\nT: t\r\n\r\n",
    b"05\r\nhello\r\n00\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
]


@dataclass
class Parsed:
    """A request as llhttp tells it."""

    target: bytes = b""
    method: bytes = b""
    body: bytes = b""
    complete: bool = False


@dataclass
class Llhttp:
    """Collects what llhttp calls back with."""

    requests: list[Parsed] = field(default_factory=list)

    def read(self, data: bytes) -> bool:
        """Whether it read everything without an error."""
        parser = httptools.HttpRequestParser(self)
        self.parser = parser
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return True

    def on_message_begin(self) -> None:
        self.requests.append(Parsed())

    def on_url(self, url: bytes) -> None:
        self.requests[-1].target += url

    def on_body(self, body: bytes) -> None:
        self.requests[-1].body += body

    def on_message_complete(self) -> None:
        self.requests[-1].method = self.parser.get_method()
        self.requests[-1].complete = True


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request, mostly well-formed."""
    lines = [draw(st.sampled_from(REQUEST_LINES)), b"Host: h", *draw(st.lists(st.sampled_from(LINES), max_size=3))]
    head = b"".join(line + draw(st.sampled_from(ENDS)) for line in lines)
    return head + draw(st.sampled_from(ENDS)) + draw(st.sampled_from(BODIES))


@settings(max_examples=1500, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=2))
def test_agreement(parts: list[bytes]) -> None:
    data = b"".join(parts)
    reader, ours = RequestReader(Limits(4096, 4096)), []
    reader.feed(data)
    try:
        while (request := reader.next()) is not None:
            ours.append(request)
            if not request.head.keep_alive:
                break  # what follows is thrown away
        refused = False
    except Refusal:
        refused = True
    llhttp = Llhttp()
    read = llhttp.read(data)
    theirs = [request for request in llhttp.requests if request.complete]
    assert [(r.method, r.target, r.body) for r in theirs][: len(ours)] == [
        (r.head.method.encode(), r.head.target, r.body) for r in ours
    ]
    closed = bool(ours) and not ours[-1].head.keep_alive
    if not refused and not closed and reader.stage is Stage.IDLE:
        assert read
        assert len(theirs) == len(ours)
