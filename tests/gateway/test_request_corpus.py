"""Streams that servers have been known to disagree about, and what we make of each."""

import pytest

from .test_fuzz_requests import ours

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
SMALL, EMPTY = (b"POST", b"/a", b"hello"), (b"POST", b"/a", b"")
SEEN = (b"GET", b"/hidden", b"")


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (GET + b"\r\n" + HIDDEN, [(b"GET", b"/a", b""), SEEN]),
        (b"\r\n\r\n" + GET + b"\r\n", [(b"GET", b"/a", b"")]),
        (POST + b"Content-Length: 5\r\n\r\nhello" + HIDDEN, [SMALL, SEEN]),
        (POST + b"Content-Length: 005\r\n\r\nhello" + HIDDEN, [SMALL, SEEN]),
        (POST + b"content-length:5 \t\r\n\r\nhello" + HIDDEN, [SMALL, SEEN]),
        (POST + b"X: \xff\r\nContent-Length: 5\r\n\r\nhello", [SMALL]),
        (POST + b"Content_Length: 9\r\n\r\n" + HIDDEN, [EMPTY, SEEN]),
        (POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN, [SMALL, SEEN]),
        (POST + b"Transfer-Encoding: \tCHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n" + HIDDEN, [SMALL, SEEN]),
        (CHUNKED + b'5;x;y=z;q=" "\r\nhello\r\n000;a\r\n\r\n' + HIDDEN, [SMALL, SEEN]),
        (CHUNKED + b"00000005\r\nhello\r\n0\r\nT: t\r\nContent-Length: 7\r\n\r\n" + HIDDEN, [SMALL, SEEN]),
        (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", [SMALL]),
    ],
)
def test_read(data: bytes, read: list[tuple[bytes, bytes, bytes]]) -> None:
    found, refused, idle = ours([data])
    assert [(one.head.method.encode(), one.head.target, one.body) for one in found] == read
    assert (refused, idle) == (False, True)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_after_the_last_request_nothing_is_read(version: bytes) -> None:
    close = b"Connection: x, CLOSE\r\n" if version == b"1.1" else b"Connection: keep-alive\r\n"
    found, refused, _ = ours([b"GET /a HTTP/" + version + b"\r\nHost: h\r\n" + close + b"\r\n" + HIDDEN])
    assert ([one.head.target for one in found], refused) == ([b"/a"], False)


@pytest.mark.parametrize(
    "data",
    [
        # two lengths, or a length and chunks
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
        POST + b"Content-Length: 5, 5\r\n\r\nhello",
        # lengths that are no plain decimal numbers
        *(POST + b"Content-Length: " + number + b"\r\n\r\nhello" for number in (
            b"+5", b"-5", b"0x5", b"5.0", b"5e0", b"5 5", b"5_0", b"\xd9\xa5", b"", b"5;", b"\x0b5", b"5\x00",
            b"18446744073709551621", b"9" * 4000,
        )),
        # codings that somebody may take for chunked, or not
        *(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n" for coding in (
            b"", b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked, identity", b"chunked;q=1", b"xchunked",
            b'"chunked"', b",chunked", b"chunked,", b"\x0bchunked", b"chunked\x00", b"chun\tked", b"chunked\r\n x",
        )),
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        # lines that end or begin otherwise
        GET.replace(b"\r\n", b"\n") + b"\n",
        GET + b"X: y\n\r\n",
        GET + b"\n",
        GET + b"X: y\r\n\n",
        GET + b"X: y\rTransfer-Encoding: chunked\r\n\r\n",
        GET + b"X: y\r\n folded\r\n\r\n",
        GET + b"X: y\r\n\tContent-Length: 5\r\n\r\n",
        b"GET /a HTTP/1.1\r\n Host: h\r\n\r\n",
        b"\n" + GET + b"\r\n",
        b" " + GET + b"\r\n",
        # names and values
        GET + b"Content-Length : 5\r\n\r\nhello",
        GET + b"Content-Length\t: 5\r\n\r\nhello",
        GET + b"Content-Length\x00: 5\r\n\r\nhello",
        GET + b"Content-Length\x0b: 5\r\n\r\nhello",
        GET + b": 5\r\n\r\n",
        GET + b"X\r\n\r\n",
        GET + b"(X): y\r\n\r\n",
        GET + b"\x80: y\r\n\r\n",
        GET + b"X: a\x00b\r\n\r\n",
        GET + b"X: a\x7fb\r\n\r\n",
        # hosts
        b"GET /a HTTP/1.1\r\n\r\n",
        GET + b"Host: g\r\n\r\n",
        # request lines
        *(b"%b %b %b\r\nHost: h\r\n\r\n" % line for line in (
            (b"get", b"/a", b"HTTP/1.1"), (b"CONNECT", b"/a", b"HTTP/1.1"), (b"CONNECT", b"h:80", b"HTTP/1.1"),
            (b"PRI", b"*", b"HTTP/2.0"), (b"GET", b"*", b"HTTP/1.1"), (b"GET", b"http://h/a", b"HTTP/1.1"),
            (b"GET", b"a", b"HTTP/1.1"), (b"GET", b"", b"HTTP/1.1"), (b"GET", b"/a b", b"HTTP/1.1"),
            (b"GET", b"/\x80", b"HTTP/1.1"), (b"GET", b"/\x00", b"HTTP/1.1"), (b"GET", b" /a", b"HTTP/1.1"),
            (b"GET", b"/a", b" HTTP/1.1"), (b"GET", b"/a", b"HTTP/1.1 "), (b"GET", b"/a", b"HTTP/0.9"),
            (b"GET", b"/a", b"HTTP/1.2"), (b"GET", b"/a", b"HTTP/1.10"), (b"GET", b"/a", b"HTTP/01.1"),
            (b"GET", b"/a", b"http/1.1"), (b"GET", b"/a", b"HTTP/2"), (b"GET", b"/a", b"HTTP/\xb9.1"),
        )),
        b"GET /a\r\n\r\n",
        b"GET\t/a\tHTTP/1.1\r\nHost: h\r\n\r\n",
        # chunks
        *(CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n" for size in (
            b"+5", b"-5", b"0x5", b" 5", b"5 ", b"5\t", b"", b"g", b"5_", b"5,", b"5 ;x=y", b"5; x=y", b"5;",
            b"5;x=\x7f", b"5;x=\xff",
            b'5;x="', b"5;x\ry", b"5;x\ny", b"5\x00", b"000000005", b"ffffffff5", b"10000000000000005",
        )),
        CHUNKED + b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello0\r\n\r\n",
        CHUNKED + b"5\r\nhelloxx0\r\n\r\n",
        CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n-0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nT : t\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nT: t\r\n folded\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n" + b"T: tt\r\n" * 1000 + b"\r\n",
        CHUNKED + b"fff\r\n" + b"x" * 4095 + b"\r\n2\r\nxx\r\n0\r\n\r\n",
    ],
)  # fmt: skip
def test_refused(data: bytes) -> None:
    found, refused, _ = ours([data])
    assert (found, refused) == ([], True)


@pytest.mark.parametrize(
    "data",
    [
        GET[:-2],
        GET,
        GET + b"\r",
        POST + b"Content-Length: 6\r\n\r\nhello",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nT: t\r\n",
        CHUNKED + b"5\r\nhello\r",
        CHUNKED + b"5",
    ],
)
def test_awaited(data: bytes) -> None:
    """Nothing is done for a request that is not whole."""
    assert ours([data]) == ([], False, False)
