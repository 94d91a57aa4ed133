"""However bytes are cut, the same requests come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.request_reader import Limits, Request, RequestReader, Stage

LIMITS = Limits(head=256, body=1000)

PLAIN = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
)


def read(pieces: list[bytes]) -> list[Request]:
    reader, found = RequestReader(LIMITS), []
    for piece in pieces:
        reader.feed(piece)
        while (request := reader.next()) is not None:
            found.append(request)
    assert reader.stage is Stage.IDLE
    return found


@given(st.lists(st.sampled_from([PLAIN, EMPTY, CHUNKED, b"\r\n" + PLAIN]), max_size=4), st.data())
def test_pipelined_requests_cut_anywhere(requests: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    bodies = {PLAIN: b"hello", EMPTY: b"", CHUNKED: b"hello world", b"\r\n" + PLAIN: b"hello"}
    assert [request.body for request in read(pieces)] == [bodies[request] for request in requests]


def test_stages() -> None:
    reader = RequestReader(LIMITS)
    stages = []
    for piece in (b"POST /a HTTP/1.1\r\nHost: h\r\n", b"Content-Length: 2\r\n\r\n1", b"2"):
        stages.append(reader.stage)
        reader.feed(piece)
        assert (reader.next() is not None) == (piece == b"2")
    assert [*stages, reader.stage] == [Stage.IDLE, Stage.HEAD, Stage.BODY, Stage.IDLE]


def test_continue_is_owed_once_and_only_while_the_body_is_held_back() -> None:
    expecting = b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    reader = RequestReader(LIMITS)
    reader.feed(expecting)
    assert reader.next() is None
    assert [reader.take_continue(), reader.take_continue()] == [True, False]
    early = RequestReader(LIMITS)
    early.feed(expecting + b"1")
    assert early.next() is None
    assert not early.take_continue()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 300, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 300 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"a" * 1000 + b"\r\n1\r\n", 413),
        (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        (b"\n", 400),
    ],
)
def test_refused_as_soon_as_it_is_seen(data: bytes, status: int) -> None:
    reader = RequestReader(LIMITS)
    reader.feed(data)
    with pytest.raises(Refusal) as caught:
        reader.next()
    assert (caught.value.status, caught.value.closes) == (status, True)


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5\nhello\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhelloX\n",
        b"000000005\r\nhello\r\n",
        b"5;" + b"x" * 300,
        b"5;a\nb\r\nhello\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\n" + b"T: " + b"x" * 200 + b"\r\n" + (b"T: " + b"x" * 200 + b"\r\n") * 25,
    ],
)
def test_odd_chunks_are_refused(body: bytes) -> None:
    reader = RequestReader(LIMITS)
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    with pytest.raises(Refusal) as caught:
        reader.next()
    assert (caught.value.status, caught.value.closes) == (400, True)
