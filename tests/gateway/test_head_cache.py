"""What is remembered of heads changes no answer: each is read as if it were the first."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunefleet.gateway.access import ANYONE
from tunefleet.gateway.errors import EngineProtocolError, Refusal
from tunefleet.gateway.head_cache import MAX_BYTES, MAX_HEADS, HeadCache
from tunefleet.gateway.request_head import RequestHead, parse_head
from tunefleet.gateway.response_head import ResponseHeadCache, parse_response_head

FIRST = [b"POST /v1/completions HTTP/1.1", b"GET / HTTP/1.1", b"POST /v1/completions HTTP/1.0"]
LINES = [
    b"Host: a",
    b"Content-Length: 5",
    b"Content-Length: 12",
    b"Content-Length: ",
    b"Content-Length:5",
    b"Content-Length: 5 ",
    b"content-length: 7",
    b"CONTENT-LENGTH: 7",
    b"Content-Length: 0x5",
    b" Content-Length: 5",
    b"X: Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: x, content-length",
    b"Authorization: Bearer a",
    b"Authorization: Bearer b",
    b"x-request-id: one",
    b"x-request-id: two",
    b"X-Request-ID:three",
    b"x-request-id: two words",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"Traceparent: 00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    b"traceparent: 00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0X",
    b"tracestate: a=b",
    b"X: traceparent: 00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    b"Connection: traceparent, x-request-id",
    b"Expect: 100-continue",
    b"X",
    b"",
]
HEADS = st.builds(
    lambda first, lines: b"\r\n".join([first, b"Host: h", *lines, b"", b""]),
    st.sampled_from(FIRST),
    st.lists(st.sampled_from(LINES), max_size=4),
)


def facts(head: RequestHead) -> dict[str, object]:
    names = ("method", "target", "minor", "kept", "chunked", "keep_alive", "expects_continue", "encoded", "has_host")
    more = ("authorization", "api_key", "request_id", "traceparent", "session", "start")
    return {name: getattr(head, name) for name in (*names, *more)}


def read(raw: bytes, cache: HeadCache | None = None) -> object:
    try:
        head, length = parse_head(raw) if cache is None else cache.parse(raw)
    except Refusal as refusal:
        return refusal.status, refusal.message
    return facts(head), length


@settings(max_examples=400, deadline=None)
@given(st.lists(HEADS, max_size=8))
@example(
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n",
    ]
)
@example(
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\nContent-Length: 5\r\n\r\n",
    ]
)
def test_requests_are_read_as_without_it(heads: list[bytes]) -> None:
    cache = HeadCache()
    for raw in heads + heads:
        assert read(raw, cache) == read(raw), raw


STATUS = [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.0 200 OK", b"HTTP/1.1 503 Busy"]
MORE = [b"Retry-After: 3", b"Content-Type: text/event-stream", b"Keep-Alive: x", b"Connection: keep-alive, server"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda first, lines: b"\r\n".join([first, b"Server: s", *lines, b"", b""]),
            st.sampled_from(STATUS),
            st.lists(st.sampled_from([*LINES, *MORE]), max_size=3),
        ),
        max_size=8,
    )
)
def test_responses_are_read_as_without_it(heads: list[bytes]) -> None:
    cache = ResponseHeadCache()
    for raw in heads + heads:
        assert answer(raw, cache) == answer(raw)


def answer(raw: bytes, cache: ResponseHeadCache | None = None) -> object:
    try:
        head, digits = parse_response_head(raw) if cache is None else cache.parse(raw)
    except EngineProtocolError as error:
        return str(error)
    whole = head.start + digits + head.rest
    return whole, head.status, head.bodiless, head.chunked, head.until_close, head.keep_alive, head.retry_after


def test_only_what_comes_again_is_remembered() -> None:
    cache = HeadCache()
    known = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    assert cache.parse(known % 5)[0] is cache.parse(known % 123)[0]
    passing = b"POST / HTTP/1.1\r\nHost: h\r\ntracestate: a=b\r\nContent-Length: 5\r\n\r\n"
    large = b"POST / HTTP/1.1\r\nHost: h\r\nX: %b\r\nContent-Length: 5\r\n\r\n" % (b"a" * MAX_BYTES)
    for raw in (passing, large):
        assert cache.parse(raw)[0] is not cache.parse(raw)[0]
    assert len(cache) == 1


def test_a_head_is_remembered_without_the_name_and_the_trace_of_its_request() -> None:
    cache = HeadCache()
    raw = (
        b"POST / HTTP/1.1\r\nHost: h\r\nX: 1\r\ntraceparent: 00-%032x-b7ad6b7169203331-01\r\nx-request-id: id-%d\r\n"
        b"Y: 2\r\nContent-Length: %d\r\n\r\n"
    )
    for number in range(1, 100):
        head, length = cache.parse(raw % (number, number, number))
        assert (head.request_id, length) == (b"id-%d" % number, number)
        assert head.kept == b"Host: h\r\nX: 1\r\ntraceparent: 00-%032x-b7ad6b7169203331-01\r\nY: 2\r\n" % number
    assert len(cache) == 1


def test_credentials_are_looked_up_once_for_each_key() -> None:
    cache = HeadCache()
    raw = b"POST / HTTP/1.1\r\nHost: h\r\nAuthorization: %b\r\nx-request-id: %d\r\nContent-Length: 5\r\n\r\n"
    for number in range(3):
        cache.parse(raw % (b"a", number))[0].tenant = ANYONE
    assert cache.parse(raw % (b"a", 9))[0].tenant is ANYONE
    assert cache.parse(raw % (b"b", 9))[0].tenant is None


def test_it_does_not_grow_without_end() -> None:
    cache = HeadCache()
    for number in range(MAX_HEADS + 10):
        cache.parse(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n" % number)
    assert len(cache) == 10


@pytest.mark.parametrize("line", [b"Transfer-Encoding: chunked", b"Content-Length: 6"])
def test_a_known_head_with_one_line_more_is_refused(line: bytes) -> None:
    cache = HeadCache()
    raw = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
    cache.parse(raw + b"\r\n")
    with pytest.raises(Refusal):
        cache.parse(raw + line + b"\r\n\r\n")
