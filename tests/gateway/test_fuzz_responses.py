"""Where we take an engine's bytes for an answer, llhttp and h11 take them for the same one; so does who reads ours."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given

from tunefleet.gateway.errors import EngineProtocolError
from tunefleet.gateway.response_reader import ResponseReader

from .http_bytes import arriving, response_of
from .http_oracles import Message, Reading, h11_response, llhttp_responses

STREAMS = arriving(response_of)


class Ours(NamedTuple):
    """What we made of an answer."""

    status: int
    body: bytes
    """Decoded."""
    complete: bool
    passed_on: bytes
    """What a client of HTTP/1.1 gets."""
    interim: tuple[bytes, ...]


def ours(data: Sequence[bytes]) -> Ours | None:
    """None: it is no answer. What comes after the head was passed on is a broken answer at worst."""
    framed, plain = ResponseReader(plain=False), ResponseReader(plain=True)
    passed, body = [], []
    for piece in data:
        try:
            passed.append(framed.feed(piece))
            body.append(plain.feed(piece))
        except EngineProtocolError:
            return None
    for reader in (framed, plain):
        reader.end_of_stream()
    head = framed.head
    if head is None:
        return None
    top = head.start + framed.digits + head.rest + b"\r\n"
    return Ours(head.status, b"".join(body), framed.complete, top + b"".join(passed), tuple(framed.interim))


def final(reading: Reading) -> Message:
    """The answer, after interim ones."""
    return next((message for message in reading.messages if message.status >= 200), Message())


def differs(reading: Reading, mine: Ours, *, until_close: bool) -> str:
    """How another reader's answer differs from ours, in a word. One that is not whole it may refuse."""
    theirs = final(reading)
    if not mine.complete:
        return "whole" if theirs.complete else ""
    if (theirs.status, theirs.body) != (mine.status, mine.body):
        return "another answer"
    return "" if until_close or (theirs.complete and not reading.refused) else "not whole"


def closes_early(data: bytes) -> bool:
    """llhttp ends the connection after an interim answer that says so; what we pass on does not say it."""
    return re.search(rb"(?im)^(proxy-)?connection:.*close", data.rpartition(b"HTTP/1.")[0]) is not None


def faults(data: Sequence[bytes], mine: Ours | None) -> list[str]:
    """Where anybody disagrees with us: about what the engine sent, or about what we pass on."""
    if mine is None:
        return []
    head = mine.passed_on.partition(b"\r\n\r\n")[0]
    until_close = re.search(rb"(?im)^(content-length|transfer-encoding):", head) is None
    passed_on = [*mine.interim, mine.passed_on]
    readings = {
        "llhttp": llhttp_responses(data),
        "h11": h11_response(data, closed=True),
        "llhttp, passed on": llhttp_responses(passed_on),
        "h11, passed on": h11_response(passed_on, closed=True),
    }
    if closes_early(b"".join(data)):
        del readings["llhttp"]
    found = {name: differs(reading, mine, until_close=until_close) for name, reading in readings.items()}
    return [f"{name}: {fault}" for name, fault in found.items() if fault]


@given(STREAMS)
def test_everybody_reads_what_we_read(data: list[bytes]) -> None:
    assert faults(data, ours(data)) == []


@given(STREAMS)
def test_cuts_change_nothing(data: list[bytes]) -> None:
    """What is passed on depends on the bytes, not on how they arrive; so does whether they are an answer."""
    assert ours(data) == ours([b"".join(data)])


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "status", "body", "complete"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", True),
        (OK + b"Content-Length: 005\r\n\r\nhello", 200, b"hello", True),
        (OK + b"Content-Length: 6\r\n\r\nhello", 200, b"hello", False),
        (CHUNKED + HELLO, 200, b"hello", True),
        (CHUNKED + b'5;x;y="z"\r\nhello\r\n00\r\nT: t\r\n\r\n', 200, b"hello", True),
        (CHUNKED + HELLO[:-2], 200, b"hello", False),
        (OK + b"\r\nhello", 200, b"hello", True),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, b"hello", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CHUNKED + HELLO, 200, b"hello", True),
        (b"HTTP/1.1 100\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    ],
)
def test_answers(data: bytes, status: int, body: bytes, *, complete: bool) -> None:
    mine = ours([data])
    assert mine is not None
    assert (mine.status, mine.body, mine.complete) == (status, body, complete)
    assert mine.passed_on.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        OK + b"Content-Length: +5\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
        OK + b"Content-Length: 5\r\n\r\nhello!",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + HELLO,
        OK + b"Transfer-Encoding: chunked\t\r\n\r\n" + HELLO,
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
        OK + b"X: y\r\n folded\r\n\r\n",
        OK + b"X : y\r\n\r\n",
        OK + b"X: a\x00b\r\n\r\n",
        OK + b"X: a\rb\r\n\r\n",
        OK.replace(b"\r\n", b"\n") + b"\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
        b"HTTP/1.0 100 Continue\r\n\r\n" + CHUNKED + HELLO,
        b"HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n" + CHUNKED + HELLO,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 099 X\r\n\r\n",
        b"HTTP/1.1 600 X\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"\r\n" + OK + b"\r\n",
        CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5;x=\xff\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
        CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nT : t\r\n\r\n",
        CHUNKED + HELLO + OK,
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    assert ours([data]) is None
