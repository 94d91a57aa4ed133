"""HTTP at a live gateway where servers and proxies tend to go wrong; see docs/design/http.md."""

import asyncio
import gc
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from tunefleet.gateway.request_reader import Limits
from tunefleet.gateway.settings import Timeouts

from .harness import ASK, CHAT, NO_HOLD, Call, engine, gateway, get, post
from .http_oracles import h11_response
from .test_connection import settled

SMALL = replace(NO_HOLD, limits=Limits(head=2048, body=4096), timeouts=Timeouts(head=10, body=20, request=50, idle=70))


async def test_both_sides_keep_their_connections() -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        for _ in range(20):
            await client.send(post(ASK))
            response = await client.response()
            assert "connection" not in response.headers
        assert (upstream.connections, len(upstream.received)) == (1, 20)


async def test_an_engine_that_closes_each_time_costs_the_client_nothing() -> None:
    async def script(call: Call) -> None:
        await call.answer(b"{}", b"200 OK", b"Connection: close")
        call.writer.close()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        for _ in range(5):
            await client.send(post(ASK))
            response = await client.response()
            assert (response.status, response.headers.get("connection")) == (200, None)
        assert upstream.connections == 5


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (post(ASK, b"Transfer-Encoding: chunked"), 400),
        (post(b"x" * 5000), 413),
        (get("/healthz", b"x: " + b"a" * 3000), 431),
        (get("/healthz", b"Expect: teapot"), 417),
    ],
)
async def test_an_error_among_pipelined_requests_ends_them(bad: bytes, status: int) -> None:
    """What came before is answered in order; what comes after cannot be told apart and is not run."""
    async with engine() as upstream, gateway(upstream, settings=SMALL) as front, await front.client() as client:
        await client.send(post(ASK) + get("/healthz") + bad + post(ASK))
        answers = [await client.response() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, status]
        assert ["connection" in answer.headers for answer in answers] == [False, False, True]
        assert await client.rest() == b""
        assert len(upstream.received) == 1


@pytest.mark.parametrize("wrong", [b"{", b"[]", b'{"model":"nobody"}', b'{"model":1}', b'{"a":1}'])
async def test_a_bad_body_among_pipelined_requests_ends_nothing(wrong: bytes) -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK) + post(wrong) + post(ASK))
        statuses = [(await client.response()).status for _ in range(3)]
        assert statuses[::2] == [200, 200]
        assert statuses[1] in (400, 404)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"Content-Length: 5000",), 413),
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        ((b"Content-Length: x",), 400),
    ],
)
async def test_who_waits_for_100_continue_is_refused_instead(lines: tuple[bytes, ...], status: int) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" % CHAT.encode()
    async with engine() as upstream, gateway(upstream, settings=SMALL) as front, await front.client() as client:
        await client.send(head + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (status, "close")
        assert await client.rest() == b""
        assert upstream.received == []


async def test_100_continue_comes_once_and_only_before_the_body() -> None:
    body = b'{"model":"support-de"}'
    head = b"POST %b HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % (
        CHAT.encode(),
        len(body),
    )
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(head[:20])
        await client.send(head[20:])
        assert (await client.head()).status == 100
        for byte in range(len(body)):
            await client.send(body[byte : byte + 1])
        assert (await client.response()).status == 200
        await client.send(head + body[:3])
        await client.send(body[3:])
        assert (await client.response()).status == 200


@pytest.mark.parametrize("lines", [(), (b"Connection: keep-alive",)])
async def test_http_1_0(lines: tuple[bytes, ...]) -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await call.stream(b"1", b"2")

    async with engine(script) as upstream, gateway(upstream) as front:
        body = b'{"model":"support-de","stream":true}'
        head = b"POST %b HTTP/1.0\r\nContent-Length: %d\r\n" % (CHAT.encode(), len(body))
        raw = await front.once(head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body + get("/healthz"))
        top, _, rest = raw.partition(b"\r\n\r\n")
        assert rest == b"data: 1\n\ndata: 2\n\n"
        assert b"chunked" not in top.lower()
        assert raw.count(b"HTTP/1.") == 1
        assert upstream.received[0].request_line.endswith(b" HTTP/1.1")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304),
        (b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", 204),
    ],
)
async def test_answers_without_a_body_end_where_their_head_ends(answer: bytes, status: int) -> None:
    async def script(call: Call) -> None:
        await call.send(answer)

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        for _ in range(2):
            await client.send(post(ASK))
            response = await client.response(body=False)
            assert (response.status, "transfer-encoding" in response.headers) == (status, False)
        await client.send(get("/healthz"))
        assert (await client.response()).body == b"ok\n"
        assert upstream.connections == 1


async def test_interim_answers_and_trailers_pass() -> None:
    async def script(call: Call) -> None:
        for interim in (b"100 Continue\r\n\r\n", b"103 Early Hints\r\nlink: x\r\nconnection: close\r\n\r\n"):
            await call.send(b"HTTP/1.1 " + interim)
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: t\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n"
        await call.send(head + b"2;a=b\r\nhi\r\n0\r\nt: 1\r\n\r\n")

    async with engine(script) as upstream, gateway(upstream) as front:
        raw = await front.once(post(ASK, b"Connection: close"))
        reading = h11_response([raw], closed=True)
        assert [message.status for message in reading.messages] == [100, 103, 200]
        assert reading.messages[2].body == b"hi"
        assert raw.endswith(b"2;a=b\r\nhi\r\n0\r\nt: 1\r\n\r\n")
        assert raw.count(b"connection: close") == 1
        for name in (b"x-hop", b"trailer"):
            assert not reading.messages[2].values(name)


async def test_lines_of_a_hop_stay_there() -> None:
    hop = ["Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: timeout=5", "TE: trailers", "Upgrade: h2c"]
    ours = ["Proxy-Connection: keep-alive", "Proxy-Authorization: secret", "Authorization: secret", "Trailer: x"]
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK, *(line.encode() for line in hop + ours), b"Accept: */*", b"X-Other: 2"))
        assert (await client.response()).status == 200
        (received,) = upstream.received
        names = [line.split(b":")[0].lower() for line in received.lines]
        assert sorted(names) == [b"accept", b"authorization", b"content-length", b"host", b"x-other", b"x-request-id"]
        assert b"secret" not in received.head


async def test_a_head_that_is_just_small_enough() -> None:
    async with gateway(settings=SMALL) as front, await front.client() as client:
        bare = len(get("/healthz", b"X: "))
        await client.send(get("/healthz", b"X: " + b"a" * (2048 - bare)))
        assert (await client.response()).status == 200
        await client.send(get("/healthz", b"X: " + b"a" * (2049 - bare)))
        assert (await client.response()).status == 431


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_just_small_enough(*, chunked: bool) -> None:
    async with engine() as upstream, gateway(upstream, settings=SMALL) as front, await front.client() as client:
        for size, status in ((4096, 200), (4097, 413)):
            body = b'{"model":"support-de"}'.ljust(size)
            head = b"POST %b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" % CHAT.encode()
            await client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if chunked else post(body))
            assert (await client.response()).status == status


@pytest.mark.parametrize(
    "sent", [b"POST ", b"POST %b HTTP/1.1\r\nHost: h\r\nX: " % CHAT.encode(), post(ASK)[:-3], b"\r\n\r\n\r"]
)
async def test_who_trickles_is_given_up_however_often_a_byte_comes(sent: bytes) -> None:
    async with gateway(settings=SMALL) as front, await front.client() as client:
        await client.send(sent)
        await client.send(b"x")
        await settled(front.port, client.writer)
        front.later(51)
        assert (await client.response()).status in (400, 408)
        assert await client.rest() == b""


async def time_of(pieces: int) -> int:
    """Microseconds of CPU that a body in so many pieces costs, client and engine included."""
    body = b'{"model":"support-de","x":"%b"}' % (b"y" * (pieces * 1000))
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        whole = post(body)
        for start in range(0, len(whole), 1000):
            client.writer.write(whole[start : start + 1000])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.response()).status == 200
        return int(1e6 * (resource.getrusage(resource.RUSAGE_SELF).ru_utime - before))


async def test_time_grows_with_the_body_and_not_with_its_square() -> None:
    await time_of(100)
    small, large = await time_of(1000), await time_of(8000)
    assert large < 8 * 4 * max(small, 10_000)


def memory() -> int:
    """Bytes that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("framing", [b"transfer-encoding: chunked", b"content-length: 400000000"])
async def test_a_fast_engine_waits_for_a_slow_reader(framing: bytes) -> None:
    sent, stopped = 0, asyncio.Event()
    piece = b"x" * 100_000

    async def script(call: Call) -> None:
        nonlocal sent
        await call.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        data = b"%x\r\n%b\r\n" % (len(piece), piece) if b"chunked" in framing else piece
        try:
            while sent < 400_000_000:
                async with asyncio.timeout(1):
                    await call.send(data)
                sent += len(piece)
        except TimeoutError:
            stopped.set()
        await call.gone()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        before = memory()
        await client.send(post(ASK))
        await client.head()
        await stopped.wait()
        assert sent < 60_000_000  # what sockets hold
        assert memory() - before < 40_000_000


async def test_a_slow_engine_holds_a_fast_client_back() -> None:
    """The engine reads nothing; a client that goes on sending requests is not read without end either."""
    proceed = asyncio.Event()

    async def script(call: Call) -> None:
        await proceed.wait()
        await call.answer()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        sending = asyncio.create_task(client.send(post({**ASK, "messages": "x" * 100_000}) * 500))
        done, _ = await asyncio.wait([sending], timeout=1)
        assert not done
        (connection,) = front.server.connections
        assert connection._reader.buffered < 1_000_000
        proceed.set()
        for _ in range(500):
            assert (await client.response()).status == 200
        await sending


async def test_many_connections_are_refused_and_let_go() -> None:
    settings = replace(NO_HOLD, max_connections=20)
    async with gateway(settings=settings) as front:
        clients = [await front.client() for _ in range(20)]
        for client in clients:
            await client.send(get("/healthz"))
            assert (await client.response()).status == 200
        for _ in range(5):
            async with await front.client() as more:
                assert (await more.response()).status == 503
        for client in clients:
            client.writer.close()
        await front.server.connections.all_gone()
        async with await front.client() as client:
            await client.send(get("/healthz"))
            assert (await client.response()).status == 200
