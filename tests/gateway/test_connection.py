"""One client connection: order, keep-alive, limits, time, and everything that is not a clean request."""

import asyncio
from dataclasses import replace

import pytest

from tunefleet.gateway.connection import IDLE_GRACE_SECONDS, MAX_PIPELINED
from tunefleet.gateway.request_reader import Limits
from tunefleet.gateway.settings import Settings, Timeouts

from .harness import ASK, CHAT, ENGINE_NAME, MODEL, NO_HOLD, Call, engine, gateway, get, post

SMALL = replace(NO_HOLD, limits=Limits(head=1024, body=4096), timeouts=Timeouts(head=10, body=20, request=50, idle=70))


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def script(call: Call) -> None:
        await asyncio.sleep(0)
        await call.answer(call.request.body)

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        asks = [post({**ASK, "n": n}) for n in range(3)]
        await client.send(asks[0] + get("/healthz") + asks[1] + post({"model": "nobody"}) + asks[2])
        answers = [await client.response() for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 404, 200]
        assert [answers[i].json["n"] for i in (0, 2, 4)] == [0, 1, 2]
        assert upstream.connections == 1


async def test_what_is_sent_ahead_waits() -> None:
    running, proceed = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        running.set()
        await proceed.wait()
        await call.answer()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        ahead = get("/healthz", b"x: " + b"a" * 1000) * (4 * MAX_PIPELINED // 1000)
        sending = asyncio.create_task(client.send(post(ASK) + ahead))
        await running.wait()
        proceed.set()
        assert (await client.response()).status == 200
        for _ in range(4 * MAX_PIPELINED // 1000):
            assert (await client.response()).body == b"ok\n"
        await sending


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (get("/healthz", b"Connection: close") + get("/healthz"), [200]),
        (b"GET /healthz HTTP/1.0\r\n\r\n" + get("/healthz"), [200]),
        (post({"model": "nobody"}, b"Connection: close") + get("/healthz"), [404]),
        (post(ASK, b"Connection: close") + get("/healthz"), [200]),
        (post(ASK, b"Content-Length: 5") + get("/healthz"), [400]),
        (post(ASK, b"Transfer-Encoding: chunked") + get("/healthz"), [400]),
        (post(ASK, b"X : y") + get("/healthz"), [400]),
        (post(ASK, b"X: y", b" z") + get("/healthz"), [400]),
        (get("/healthz") + b"GET /healthz HTTP/1.1\nHost: a\n\n" + get("/healthz"), [200, 400]),
        (post(b"x" * 4097) + get("/healthz"), [413]),
        (get("/healthz", b"x: " + b"a" * 2000) + get("/healthz"), [431]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
        (b"\x16\x03\x01\x02\x00\n", [400]),
    ],
)
async def test_where_a_connection_ends(request_: bytes, statuses: list[int]) -> None:
    async with engine() as upstream, gateway(upstream, settings=SMALL) as front, await front.client() as client:
        await client.send(request_)
        answers = [await client.response() for _ in statuses]
        assert [answer.status for answer in answers] == statuses
        assert answers[-1].headers["connection"] == "close"
        assert await client.rest() == b""
        assert len(upstream.received) == (1 if request_.startswith(b"POST") and statuses == [200] else 0)


async def test_a_smuggled_request_never_reaches_an_engine() -> None:
    hidden = post({**ASK, "hidden": True})
    carriers = [
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%b",
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%b",
        b"POST %b HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: %d\r\n\r\n%b",
        b"POST %b HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: %d\r\n\r\n%b",
    ]
    async with engine() as upstream, gateway(upstream) as front:
        for carrier in carriers:
            raw = await front.once(carrier % (CHAT.encode(), len(hidden), hidden))
            assert raw.startswith(b"HTTP/1.1 400 ")
            assert raw.count(b"HTTP/1.1 ") == 1
        assert upstream.received == []


async def test_a_chunked_body_reaches_the_engine_with_a_length() -> None:
    body = b'{"model":"support-de","prompt":"x"}'
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:8], body[8:]))
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        head = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: t\r\n\r\n" % CHAT.encode()
        for piece in (head, chunks[:20], chunks[20:], b"0\r\nt: 1\r", b"\n\r\n"):
            await client.send(piece)
        assert (await client.response()).status == 200
        assert upstream.received[0].body == body.replace(b"support-de", ENGINE_NAME.encode())
        assert b"chunked" not in upstream.received[0].head.lower()


async def test_expect_100_continue() -> None:
    request = post(ASK, b"Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    async with engine() as upstream, gateway(upstream, settings=SMALL) as front, await front.client() as client:
        await client.send(head + b"\r\n\r\n")
        assert (await client.head()).status == 100
        await client.send(body)
        assert (await client.response()).status == 200
        await client.send(request)
        assert (await client.response()).status == 200  # nobody waits, so nothing is said
        await client.send(post(b"x" * 5000, b"Expect: 100-continue").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert (await client.response()).status == 413
        assert [b"expect" in received.head.lower() for received in upstream.received] == [False, False]


@pytest.mark.parametrize(
    ("request_", "status", "code", "allow"),
    [
        (get("/"), 404, "unknown_url", None),
        (post(ASK, path="/v1/rerank"), 404, "unknown_url", None),
        (post(ASK, path="/v1/load_lora_adapter"), 404, "unknown_url", None),
        (post(ASK, path="/v1/chat/completions/"), 404, "unknown_url", None),
        (post(ASK, path="/v1//completions"), 404, "unknown_url", None),
        (post(ASK, path="/v1/chat/../completions"), 404, "unknown_url", None),
        (post(ASK, path="/v1/models/"), 404, "unknown_url", None),
        (get(CHAT), 405, "method_not_allowed", "post"),
        (post(ASK, path="/v1/models"), 405, "method_not_allowed", "get, head"),
        (get("/v1/models/nobody"), 404, "model_not_found", None),
        (post({**ASK, "model": "nobody"}), 404, "model_not_found", None),
        (post({**ASK, "model": f"{MODEL}@v5"}), 404, "model_not_found", None),
        (post({**ASK, "model": "../adapters/x"}), 404, "model_not_found", None),
        (post({"messages": []}), 400, "model_missing", None),
        (post({**ASK, "model": ""}), 400, "model_missing", None),
        (post(b""), 400, "invalid_json", None),
        (post(ASK, b"Content-Encoding: gzip"), 415, "unsupported_encoding", None),
    ],
)
async def test_refused_without_an_engine(request_: bytes, status: int, code: str, allow: str | None) -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(request_ + get("/healthz"))
        answer = await client.response()
        error = answer.json["error"]
        assert (answer.status, error["code"], answer.headers.get("allow")) == (status, code, allow)
        assert (set(error), error["type"]) == ({"message", "type", "param", "code"}, "invalid_request_error")
        assert answer.headers["content-type"] == "application/json"
        assert front.metric("refused_requests_total", reason=code) == 1
        assert (await client.response()).status == 200
        assert upstream.received == []


async def test_an_unknown_model_is_told_what_to_do() -> None:
    async with gateway() as front, await front.client() as client:
        await client.send(post({**ASK, "model": 'no"body'}))
        error = (await client.response()).json["error"]
        assert error["message"].startswith('The model "no\\"body" does not exist. GET /v1/models lists')
        assert error["param"] == "model"


async def test_models() -> None:
    model = {
        "id": MODEL,
        "object": "model",
        "created": 1795262400,
        "owned_by": "tunefleet",
        "parent": "tiny-chat",
        "versions": [ENGINE_NAME],
    }
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(get("/v1/models") + get(f"/v1/models/{MODEL}?x=1"))
        assert (await client.response()).json == {"object": "list", "data": [model]}
        assert (await client.response()).json == model


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/v1/models/nobody"])
async def test_head_is_get_without_the_body(path: str) -> None:
    async with gateway() as front, await front.client() as client:
        await client.send(get(path) + get(path, method="HEAD") + get("/healthz"))
        full, bare = await client.response(), await client.response(body=False)
        for response in (full, bare):
            response.headers.pop("x-request-id")
        assert (full.status, full.headers) == (bare.status, bare.headers)
        assert (await client.response()).body == b"ok\n"


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"GET /he", 9, None),
        (b"GET /he", 11, 408),
        (post(ASK)[:-1], 19, None),
        (post(ASK)[:-1], 21, 408),
        (b"", 69, None),
    ],
)
async def test_slow_clients(sent: bytes, seconds: float, status: int | None) -> None:
    async with gateway(settings=SMALL) as front, await front.client() as client:
        await client.send(get("/healthz") + sent)
        await client.response()
        await settled(front.port, client.writer)
        front.later(seconds)
        if status is None:
            rest = post(ASK)[-1:] if sent.startswith(b"POST") else get("/healthz").removeprefix(sent)
            await client.send(rest)
            await client.response()
        else:
            response = await client.response()
            assert (response.status, response.code) == (status, "request_timeout")
            assert await client.rest() == b""


async def settled(port: int, writer: asyncio.StreamWriter) -> None:
    """Everything written so far has reached the gateway: another connection's whole round trip comes after it."""
    assert writer.transport.get_write_buffer_size() == 0
    reader, other = await asyncio.open_connection("127.0.0.1", port)
    other.write(get("/healthz", b"Connection: close"))
    await reader.read()
    other.close()


async def test_a_body_that_trickles_has_an_end() -> None:
    async with gateway(settings=SMALL) as front, await front.client() as client:
        await client.send(post(ASK)[:-2])
        await settled(front.port, client.writer)
        front.later(19)
        await client.send(b"}")
        await settled(front.port, client.writer)
        front.later(51)
        assert (await client.response()).status == 408


async def test_idle_connections_are_closed_without_a_word() -> None:
    async with gateway(settings=SMALL) as front, await front.client() as client:
        await client.send(get("/healthz"))
        await client.response()
        front.later(71)
        assert await client.rest() == b""


async def test_a_reader_that_takes_nothing_is_given_up() -> None:
    stuck, gone = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        try:
            while True:
                async with asyncio.timeout(0.5):
                    await call.send(b"x" * 1_000_000)
        except TimeoutError:
            stuck.set()
        await call.gone()
        gone.set()

    settings = Settings(timeouts=Timeouts(reader=40))
    async with (
        engine(script) as upstream,
        gateway(upstream, settings=settings) as front,
        await front.client() as client,
    ):
        await client.send(post(ASK))
        await client.head()
        await stuck.wait()
        front.later(39)
        assert not gone.is_set()
        front.later(41)
        await asyncio.wait_for(gone.wait(), 10)


async def test_one_connection_too_many_is_told_to_come_back() -> None:
    async with gateway(settings=Settings(max_connections=1)) as front, await front.client() as first:
        await first.send(get("/healthz"))
        await first.response()
        async with await front.client() as second:
            response = await second.response()
            assert (response.status, response.code) == (503, "too_many_connections")
            assert response.headers["retry-after"] == "1"
        await first.send(get("/healthz"))
        assert (await first.response()).status == 200
        assert front.metric("client_connections") is not None


async def test_a_client_that_resets_leaves_nothing_behind() -> None:
    async with engine() as upstream, gateway(upstream) as front:
        async with await front.client() as client:
            await client.send(post(ASK)[:50])
            client.writer.transport.abort()
        await front.server.connections.all_gone()
        assert front.metric("client_connections") == 0


async def test_draining_closes_after_the_answer_and_gives_idle_connections_a_moment() -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        await client.response()
        front.state.draining = True
        front.later(0)
        await client.send(post(ASK))
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        async with await front.client() as idle:
            await idle.send(b"\r\n")
            await settled(front.port, idle.writer)
            front.later(0)
            front.later(IDLE_GRACE_SECONDS + 1)
            assert await idle.rest() == b""
