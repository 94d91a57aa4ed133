"""Heads are parsed in one way or not at all."""

import pytest

from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.request_head import parse_head

HOST = b"Host: a\r\n"


def head(*lines: bytes, request: bytes = b"POST /v1/completions HTTP/1.1", host: bytes = HOST) -> bytes:
    return request + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def test_what_a_proxy_must_know() -> None:
    parsed, length = parse_head(
        head(b"content-LENGTH:  12 ", b"X-Request-Id: abc", request=b"POST /v1/x?y=%20 HTTP/1.1")
    )
    assert (parsed.method, parsed.path, parsed.target) == ("POST", "/v1/x", b"/v1/x?y=%20")
    assert (length, parsed.chunked, parsed.keep_alive, parsed.request_id) == (12, False, True, b"abc")


def test_lines_for_the_engine_are_as_they_came() -> None:
    ours = (
        b"Authorization: Bearer mine",
        b"X-Api-Key: k",
        b"Connection: keep-alive, X-Hop",
        b"X-Hop: 1",
        b"Keep-Alive: timeout=5",
    )
    theirs = (
        b"x-Odd:  two  blanks ",
        b"X-Empty:",
        b"X-Other: 1",
        b"Accept: */*",
        b"traceparent: 00-ab-cd-01",
        b"X-Latin: \xe4",
    )
    lines = [line for pair in zip(theirs, (*ours, b"TE: trailers"), strict=True) for line in pair]
    parsed, _ = parse_head(head(*lines, b"Content-Length: 1", b"Expect: 100-continue", b"x-tunefleet-model: forged"))
    assert parsed.kept == HOST + b"".join(line + b"\r\n" for line in theirs)
    assert parsed.start == b"POST /v1/completions HTTP/1.1\r\n" + parsed.kept
    assert (parsed.authorization, parsed.api_key) == (b"Bearer mine", b"k")
    assert parsed.expects_continue


@pytest.mark.parametrize(
    ("request_line", "lines", "keep_alive"),
    [
        (b"GET / HTTP/1.1", (), True),
        (b"GET / HTTP/1.1", (b"Connection: Close",), False),
        (b"GET / HTTP/1.1", (b"Connection: x, close",), False),
        (b"GET / HTTP/1.0", (), False),
        (b"GET / HTTP/1.0", (b"Connection: keep-alive",), False),
    ],
)
def test_keep_alive(request_line: bytes, lines: tuple[bytes, ...], *, keep_alive: bool) -> None:
    assert parse_head(head(*lines, request=request_line))[0].keep_alive is keep_alive


@pytest.mark.parametrize("value", [b"one word", b"x" * 129, b"", b"\xe4"])
def test_a_request_id_that_is_not_one_short_word_is_not_taken(value: bytes) -> None:
    assert parse_head(head(b"x-request-id: " + value))[0].request_id is None


@pytest.mark.parametrize(
    "raw",
    [
        head(b"Content-Length: 5", b"Content-Length: 5"),
        head(b"Content-Length: 5", b"Content-Length: 6"),
        head(b"Content-Length: 5, 5"),
        head(b"Content-Length: +5"),
        head(b"Content-Length: -5"),
        head(b"Content-Length: 0x5"),
        head(b"Content-Length: 5 5"),
        head(b"Content-Length:"),
        head(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        head(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        head(b"Transfer-Encoding: gzip, chunked"),
        head(b"Transfer-Encoding: chunked, identity"),
        head(b"Transfer-Encoding: xchunked"),
        head(b"Transfer-Encoding:\x0bchunked"),
        head(b"Transfer-Encoding : chunked"),
        head(b"Transfer-Encoding: chunked", request=b"POST / HTTP/1.0"),
        head(b"X: a", b" folded"),
        head(b"X: a", b"\tfolded"),
        head(b" Leading: blank"),
        head(b"X: a\nTransfer-Encoding: chunked"),
        head(b"X: a\rb"),
        head(b"X: a\x00b"),
        head(b"X: a\x7fb"),
        head(b"Authorization: Bearer a", b"Authorization: Bearer b"),
        head(b"x-api-key: a", b"X-Api-Key: a"),
        head(b"No colon"),
        head(b": no name"),
        head(b"Na(me: x"),
        head(b"Host: b"),
        head(host=b""),
        head(request=b"POST  / HTTP/1.1"),
        head(request=b"POST / HTTP/1.1 "),
        head(request=b"POST / HTTP/1.2"),
        head(request=b"POST / HTTP/2.0"),
        head(request=b"POST /"),
        head(request=b"POST /a b HTTP/1.1"),
        head(request=b"POST http://a/ HTTP/1.1"),
        head(request=b"OPTIONS * HTTP/1.1"),
        head(request=b"CONNECT a:443 HTTP/1.1"),
        head(request=b"PO ST / HTTP/1.1"),
        head(request=b"helloPOST / HTTP/1.1"),
        head(request=b"post / HTTP/1.1"),
        b"POST / HTTP/1.1\nHost: a\n\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_head(raw)
    assert (caught.value.status, caught.value.closes) == (400, True)


def test_another_expectation_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        parse_head(head(b"Expect: cake"))
    assert caught.value.status == 417


def test_http_1_0_has_no_continue_and_needs_no_host() -> None:
    parsed, _ = parse_head(head(b"Expect: 100-continue", request=b"POST / HTTP/1.0", host=b""))
    assert (parsed.expects_continue, parsed.has_host) == (False, False)
