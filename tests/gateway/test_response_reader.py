"""An engine's response is passed on as it came, however it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.errors import EngineProtocolError
from tunefleet.gateway.response_reader import MAX_HEAD, ResponseReader

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
EVENTS = b"8\r\ndata: a\n\r\n1\r\n\n\r\n9;x=y\r\ndata: b\n\n\r\n0\r\ntrailer: t\r\n\r\n"


def cut(whole: bytes, cuts: set[int]) -> list[bytes]:
    places = sorted(place for place in cuts if place <= len(whole))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


def read(pieces: list[bytes], *, plain: bool = False) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader(plain=plain)
    return reader, b"".join(reader.feed(piece) for piece in pieces if piece)


CUTS = st.sets(st.integers(0, 200))


@given(CUTS)
def test_chunks_pass_as_they_came(cuts: set[int]) -> None:
    reader, body = read(cut(CHUNKED + EVENTS, cuts))
    assert (body, reader.complete, reader.keep_alive) == (EVENTS, True, True)
    assert reader.head is not None
    assert reader.head.event_stream


@given(CUTS)
def test_http_1_0_clients_get_the_body_without_chunks(cuts: set[int]) -> None:
    reader, body = read(cut(CHUNKED + EVENTS, cuts), plain=True)
    assert (body, reader.complete) == (b"data: a\n\ndata: b\n\n", True)
    assert reader.head is not None
    assert b"transfer-encoding" not in reader.head.without_chunks()


@given(CUTS)
def test_length_and_interim_heads(cuts: set[int]) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    reader, body = read(cut(early + LENGTH + b"hello", cuts))
    assert (body, reader.complete, reader.interim) == (b"hello", True, [early])


def test_lines_of_this_hop_and_of_ours_stop_here() -> None:
    hop = b"Connection: close, X-Hop\r\nX-Hop: 1\r\n"
    lines = b"Server: uvicorn\r\nx-request-id: engine\r\n" + hop + b"X-Tunefleet-Model: forged\r\n"
    reader, _ = read([b"HTTP/1.1 400 Bad Request\r\n" + lines + b"Content-Length: 0\r\n\r\n"])
    assert reader.head is not None
    assert (reader.head.status, reader.head.outcome) == (400, "4xx")
    assert reader.head.start + reader.digits + reader.head.rest == (
        b"HTTP/1.1 400 Bad Request\r\nServer: uvicorn\r\nContent-Length: 0\r\n"
    )
    assert (reader.complete, reader.keep_alive) == (True, False)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Same\r\ncontent-length: 9\r\n\r\n"]
)
def test_answers_without_a_body(head: bytes) -> None:
    reader, body = read([head])
    assert (body, reader.complete, reader.keep_alive) == (b"", True, True)


def test_a_body_that_only_the_connection_ends() -> None:
    reader, body = read([b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo"])
    assert (body, reader.complete) == (b"hello", False)
    reader.end_of_stream()
    assert (reader.complete, reader.keep_alive) == (True, False)


def test_a_body_with_a_length_is_not_ended_by_the_connection() -> None:
    reader, _ = read([LENGTH + b"hell"])
    reader.end_of_stream()
    assert not reader.complete


@pytest.mark.parametrize(
    "data",
    [
        LENGTH + b"hello" + LENGTH,
        LENGTH + b"hello!",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        CHUNKED + b"g\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * MAX_HEAD,
    ],
)
def test_what_is_not_one_response_is_an_error_of_the_engine(data: bytes) -> None:
    with pytest.raises(EngineProtocolError):
        ResponseReader(plain=False).feed(data)


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (b"", True),
        (b"9\r\ndata: b\n\n\r\n", True),
        (b"9\r\ndata: b\r\n\r\n", False),
        (b"b\r\ndata: b\r\n\r\n\r\n", True),
        (b"8\r\ndata: a\n\r\n", False),
        (b"8\r\ndata: a\n\r\n1\r\n\n\r\n", True),
        (b"9\r\ndata: b\n\n", False),
        (b"9\r\ndata: b\n\n\r", False),
        (b"9\r\ndata: b\n\n\r\n1", False),
        (b"9\r\ndata: b\n\n\r\n1\r", False),
        (b"9\r\ndata: b\n\n\r\n1\r\n", False),
        (b"9\r\ndata: b\n\n\r\n0\r\n", False),
    ],
)
@given(cuts=CUTS)
def test_where_an_event_of_ours_may_stand(body: bytes, cuts: set[int], *, boundary: bool) -> None:
    reader, _ = read(cut(CHUNKED + body, cuts))
    assert reader.at_event_boundary is boundary
