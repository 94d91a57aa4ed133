"""Almost-HTTP at a whole gateway: engines and clients read, with other people's parsers, what became of it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tunefleet.gateway.routes import ENGINE_PATHS

from .harness import ASK, CHAT, ENGINE_NAME, MODEL, Engine, Gateway, gateway, post
from .http_bytes import Maker, Part, arriving, response_of
from .http_oracles import Message, h11_requests, h11_response, llhttp_requests, llhttp_responses
from .test_fuzz_requests import ours as read_requests
from .test_fuzz_responses import final
from .test_fuzz_responses import ours as read_response

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CLOSING = post({**ASK, "last": True}, b"Connection: close")
BODIES = Part(
    [b'{"model":"support-de"}', *(json.dumps({**ASK, "n": n}).encode() for n in range(3))],
    [b"{}", b'{"model":"support-de"', b'{"model":"support-de","model":"support-de"}', b'{"model":"nobody"}', b"POST"],
)
STAY_HERE = (
    b"connection",
    b"transfer-encoding",
    b"te",
    b"trailer",
    b"upgrade",
    b"keep-alive",
    b"expect",
    b"proxy-connection",
)


class Requests(Maker):
    """Requests that an engine may get."""

    def framed(self) -> tuple[list[bytes], bytes]:
        body = self.pick(BODIES)
        if self._random.random() < 0.5:
            return [self.line(b"Content-Length", b"%d" % len(body))], body
        parts = body[: len(body) // 2], body[len(body) // 2 :]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
        return [self.line(b"Transfer-Encoding", b"chunked")], chunks + b"0\r\n\r\n"

    def request(self) -> bytes:
        return re.sub(rb"^[A-Z]+ /[^ ]*", b"POST " + CHAT.encode(), super().request(), count=1)


def requests_of(seed: int) -> bytes:
    """One to three, one after the other."""
    maker = Requests(random := Random(seed))
    return b"".join(maker.request() for _ in range(random.choice((1, 1, 2, 3))))


@dataclass
class Wire:
    """An engine that keeps what arrives on each connection, and answers what llhttp takes for a request."""

    answer: bytes = OK
    closes: bool = False
    streams: list[bytearray] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams.append(stream := bytearray())
        answered = 0
        try:
            while data := await reader.read(65536):
                stream += data
                whole = len(llhttp_requests([bytes(stream)]).whole)
                writer.write(self.answer * (whole - answered))
                await writer.drain()
                answered = whole
                if self.closes and answered:
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def wired(wire: Wire) -> AsyncIterator[Gateway]:
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        async with gateway(Engine(port=server.sockets[0].getsockname()[1])) as front:
            yield front
    finally:
        server.close()


async def exchanged(wire: Wire, data: list[bytes]) -> bytes:
    """Everything that a client gets for this, until the gateway closes."""
    async with wired(wire) as front, await front.client() as client:
        for piece in data:
            await client.send(piece)
            await asyncio.sleep(0)
        try:
            return await client.rest()
        except ConnectionResetError:
            return b""


def told(message: Message) -> tuple[bytes, bytes]:
    return message.target, message.body


FEW = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@FEW
@given(arriving(requests_of))
def test_engines_get_the_requests_that_we_read_and_no_others(data: list[bytes]) -> None:
    data = [*data, CLOSING]
    found, refused, _ = read_requests(data)
    assume(refused or (found and not found[-1].head.keep_alive))  # else the last one is a part of another's body
    assume(all(one.head.method != "HEAD" for one in found))  # whose answers look unfinished to who did not ask
    wire = Wire()
    got = llhttp_responses([asyncio.run(exchanged(wire, data))])
    expected = iter([(one.head.target, spliced(one.body)) for one in found])
    arrived = 0
    for stream in wire.streams:
        one, other = llhttp_requests([bytes(stream)]), h11_requests([bytes(stream)])
        assert [told(message) for message in one.messages] == [told(message) for message in other.messages]
        for reading in (one, other):
            assert not reading.refused
            assert all(message.complete for message in reading.messages)
        for message in one.messages:
            assert told(message) in expected  # in their order
            assert [len(message.values(name)) for name in (b"host", b"content-length", *STAY_HERE)] == [1, 1] + [
                0
            ] * len(STAY_HERE)
        arrived += len(one.messages)
    assert not got.refused
    answers = [message for message in got.messages if message.status >= 200]
    assert all(message.complete for message in answers)
    assert len(answers) == len(found) + refused
    assert sum(message.status == 200 for message in answers) == arrived


def spliced(body: bytes) -> bytes:
    return body.replace(b'"' + MODEL.encode() + b'"', b'"' + ENGINE_NAME.encode() + b'"', 1)


@FEW
@given(arriving(response_of))
def test_clients_get_the_answer_that_we_read_or_see_that_there_is_none(data: list[bytes]) -> None:
    answer = b"".join(data)
    mine = read_response([answer])
    raw = asyncio.run(exchanged(Wire(answer, closes=True), [CLOSING]))
    readings = [llhttp_responses([raw]), h11_response([raw], closed=True)]
    for reading in readings:
        theirs = final(reading)
        if mine is not None and mine.complete:
            assert (theirs.status, theirs.body) == (mine.status, mine.body)
        else:
            assert theirs.status == 502 or not theirs.complete or reading.refused


def strings() -> Iterator[bytes]:
    """JSON values that other gateways are known to change."""
    yield from (
        b"1e400",
        b"-0",
        b"-0.0",
        b"1.0",
        b"1.10",
        b"1E5",
        b"12345678901234567890123456789012345678901234567890",
    )
    yield from (
        b'"\\u00e4\\ud83d\\ude00"',
        b'"\xc3\xa4\\/"',
        b'"a\\u0000b"',
        b"true",
        b"null",
        b"[ ]",
        b"{ }",
    )


def test_values_arrive_as_they_were_written() -> None:
    values = b" ,\t".join(b'"k%d" : %b' % (n, value) for n, value in enumerate(strings()))
    body = b'{"z":1,"a":{"model":"x","model":"y"},"z":2,\r\n"model": "support-de", ' + values + b"}\n"
    wire = Wire(OK.replace(b"content-length: 2", b"X-Odd:  a\tb \r\nX-Odd: c\r\ncontent-length: 2"))
    for path in ENGINE_PATHS:
        wire.streams.clear()
        raw = asyncio.run(exchanged(wire, [post(body, b"Connection: close", b"X-Mine:  v\t\xff", path=path)]))
        (stream,) = wire.streams
        head, _, arrived = bytes(stream).partition(b"\r\n\r\n")
        assert arrived == spliced(body)
        assert head.startswith(b"POST %b HTTP/1.1\r\n" % path.encode())
        assert b"\r\nX-Mine:  v\t\xff\r\n" in head
        assert b"\r\nX-Odd:  a\tb \r\nX-Odd: c\r\n" in raw
        assert raw.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"model":"support-de"}',
        b'{"model":"support-de","x":"\\ud800"}',
    ],
)
def test_what_json_readers_disagree_about_is_refused(body: bytes) -> None:
    """A byte order mark, and half of a character."""
    wire = Wire()
    raw = asyncio.run(exchanged(wire, [post(body, b"Connection: close")]))
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert wire.streams == []
