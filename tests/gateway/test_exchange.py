"""One request at an engine: bytes as they came, one retry at most, and errors that say what happened."""

import asyncio
import json
import re
import socket
import struct

import pytest

from tunefleet.gateway.settings import Settings, Timeouts
from tunefleet.plan.route_table import Route, Target

from .harness import (
    ASK,
    BASE_ENGINE_NAME,
    CHAT,
    ENGINE_NAME,
    MODEL,
    NO_HOLD,
    Call,
    Client,
    Engine,
    engine,
    gateway,
    post,
    table,
)


async def test_only_the_models_value_changes_on_the_way_in() -> None:
    body = (
        b'{ "model" :\t"support-de", "big":123456789012345678901234567890, "f":1.10, "my_extra":{"model":"x"},\r\n'
        b' "messages":[{"role":"user","content":"h\xc3\xa4 \\u00e4 \\"model\\": \\/ "}], "seed":null }'
    )
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        lines = (b"X-Custom:  kept   so ", b"Content-Type: application/json", b"traceparent: 00-1-2-01", b"cookie: a=b")
        await client.send(
            post(body, *lines, b"Authorization: Bearer mine", b"x-request-id: abc-1", path=CHAT + "?a=%20b")
        )
        assert (await client.response()).status == 200
        request = upstream.received[0]
    expected = body.replace(b'"support-de"', b'"support-de@v4-1f3a9c2e"')
    assert request.body == expected
    assert request.request_line == b"POST /v1/chat/completions?a=%20b HTTP/1.1"
    assert request.lines == [
        b"Host: gateway",
        *lines,
        upstream.authorization,
        b"x-request-id: abc-1",
        b"content-length: %d" % len(expected),
    ]


async def test_the_answer_passes_with_the_exact_version() -> None:
    async def script(call: Call) -> None:
        await call.send(
            b"HTTP/1.1 418 I am a teapot\r\nServer:  uvicorn\r\nX-Odd: \xe4\r\nConnection: keep-alive\r\n"
            b'x-request-id: engine\r\nContent-Length: 7\r\n\r\n{"a":1}'
        )

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK, b"x-request-id: mine"))
        raw = await client.reader.readexactly(
            len(
                whole := b"HTTP/1.1 418 I am a teapot\r\nServer:  uvicorn\r\nX-Odd: \xe4\r\nContent-Length: 7\r\n"
                b"x-request-id: mine\r\nx-tunefleet-model: support-de@v4-1f3a9c2e\r\n"
                b'x-tunefleet-base: tiny-chat@v1-00000000\r\n\r\n{"a":1}'
            )
        )
    assert raw == whole


@pytest.mark.parametrize("name", [MODEL, "support-de@v4", ENGINE_NAME])
async def test_names_that_route(name: str) -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post({**ASK, "model": name}))
        response = await client.response()
        assert (response.status, response.headers["x-tunefleet-model"]) == (200, ENGINE_NAME)
        assert response.headers["x-tunefleet-base"] == BASE_ENGINE_NAME
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
        assert upstream.received[0].json == {**ASK, "model": ENGINE_NAME}


async def test_events_arrive_one_by_one_and_as_they_came() -> None:
    proceed = asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b'{"n":1}', finish=False)
        await proceed.wait()
        await call.event(b'{"n":2}')
        await call.event(b"[DONE]")
        await call.send(b"0\r\n\r\n")

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post({**ASK, "stream": True}))
        assert (await client.head()).headers["content-type"] == "text/event-stream"
        chunks = client.chunks()
        assert await anext(chunks) == b'data: {"n":1}\n\n'
        proceed.set()
        assert [chunk async for chunk in chunks] == [b'data: {"n":2}\n\n', b"data: [DONE]\n\n"]
        assert front.metric("gen_ai_server_time_to_first_token_seconds_count") == 1
        assert front.metric("requests_total", model=MODEL, version="v4", code="2xx") == 1


async def test_engine_connections_are_used_again() -> None:
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        for _ in range(3):
            await client.send(post(ASK))
            assert (await client.response()).status == 200
        assert (upstream.connections, len(upstream.received)) == (1, 3)


@pytest.mark.parametrize("lines", [(b"Connection: close",), ()])
async def test_engine_connections_that_close_are_not(lines: tuple[bytes, ...]) -> None:
    async def script(call: Call) -> None:
        await call.answer(b"{}", b"200 OK", *lines)
        call.writer.close()
        await call.writer.wait_closed()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        for count in (1, 2, 3):
            await client.send(post(ASK))
            assert (await client.response()).status == 200
            assert upstream.connections == count


async def test_an_engine_that_takes_no_connection_costs_one_other_try() -> None:
    async with engine(pod="good") as good, engine(pod="bad") as bad:
        dead = Engine(pod="dead", port=1)
        async with gateway(dead, good) as front, await front.client() as client:
            pod = front.state.balancer.pod(good.backend.pod)
            assert pod is not None
            pod.in_flight += 3  # so that the dead one is tried first
            await client.send(post(ASK))
            assert (await client.response()).status == 200
            assert (len(good.received), front.metric("retries_total")) == (1, 1)
            await client.send(post(ASK))
            assert (await client.response()).status == 200
            assert front.metric("retries_total") == 1  # shunned for now
            assert front.metric("requests_total", model=MODEL, version="v4", code="2xx") == 2
            assert front.metric("requests_in_flight", model=MODEL, version="v4") == 0
        assert not bad.received


async def test_two_engines_that_take_no_connection_are_enough() -> None:
    dead = [Engine(pod=f"dead-{n}", port=1) for n in range(3)]
    async with gateway(*dead, settings=NO_HOLD) as front, await front.client() as client:
        await client.send(post(ASK))
        response = await client.response()
        assert (response.status, response.code, response.headers["retry-after"]) == (503, "engine_unreachable", "1")
        assert front.metric("ejections_total", reason="refused") == 2
        await client.send(post(ASK))
        assert (await client.response()).status == 503  # the connection lives on


async def test_an_engine_that_resets_before_it_answers_is_not_asked_twice() -> None:
    async def script(call: Call) -> None:
        call.reset()

    async with (
        engine(script, "a") as one,
        engine(script, "b") as two,
        gateway(one, two) as front,
        await front.client() as client,
    ):
        await client.send(post(ASK))
        response = await client.response()
        assert (response.status, response.code) == (502, "engine_failed")
        assert len(one.received) + len(two.received) == 1
        assert response.json["error"]["type"] == "server_error"
        assert front.metric("requests_total", model=MODEL, version="v4", code="5xx") == 1


async def test_a_request_that_never_arrived_goes_again() -> None:
    """The engine closed an idle connection just before: its host acknowledged nothing, so nothing ran."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        upstream = Engine(port=listener.getsockname()[1])
        async with gateway(upstream) as front, await front.client() as client:
            await client.send(post(ASK))
            first, _ = await loop.sock_accept(listener)
            await loop.sock_recv(first, 65536)
            await loop.sock_sendall(first, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            assert (await client.response()).status == 200
            (served,) = front.server.connections
            first.close()
            served.data_received(post(ASK))  # before the gateway's loop can have seen the end of the connection
            second, _ = await loop.sock_accept(listener)
            await loop.sock_recv(second, 65536)
            await loop.sock_sendall(second, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            assert (await client.response()).status == 200
            second.close()
            assert front.metric("requests_total", model=MODEL, version="v4", code="2xx") == 2
            assert front.metric("requests_in_flight", model=MODEL, version="v4") == 0


async def test_an_engine_that_closes_what_it_accepts_is_unreachable() -> None:
    accepted = 0

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        upstream = Engine(port=server.sockets[0].getsockname()[1])
        async with gateway(upstream) as front, await front.client() as client:
            await client.send(post(ASK))
            assert (await client.response()).code in {"engine_unreachable", "engine_failed"}
            assert accepted <= 2


async def test_an_engine_that_does_not_speak_http_is_an_error() -> None:
    async def script(call: Call) -> None:
        await call.send(b"220 smtp.example ESMTP\r\n\r\n")

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        assert (await client.response()).code == "engine_failed"


async def test_errors_of_engines_pass_as_they_are() -> None:
    body = b'{"error":{"message":"too long","type":"BadRequestError","param":"input_tokens","code":400}}'

    async def script(call: Call) -> None:
        await call.answer(body, b"503 Service Unavailable", b"Retry-After: 7")

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        response = await client.response()
        assert (response.status, response.body, response.headers["retry-after"]) == (503, body, "7")
        assert len(upstream.received) == 1


async def broken(front_client: Client) -> tuple[list[bytes], bool]:
    """The chunks of a stream, and whether it ended as it should."""
    await front_client.head()
    chunks: list[bytes] = []
    try:
        async for chunk in front_client.chunks():
            chunks.append(chunk)  # noqa: PERF401 - what came before the break counts
    except asyncio.IncompleteReadError:
        return chunks, False
    return chunks, True


async def test_a_stream_that_breaks_between_events_ends_with_an_error_event_and_uncleanly() -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"n":1}', finish=False)
        call.writer.close()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post({**ASK, "stream": True}))
        (first, last), clean = await broken(client)
        assert (first, clean) == (b'data: {"n":1}\n\n', False)
        error = json.loads(last.removeprefix(b"event: error\ndata: "))["error"]
        assert (error["type"], error["code"]) == ("server_error", "stream_broken")
        assert last.endswith(b"\n\n")
        assert front.metric("requests_total", model=MODEL, version="v4", code="broken") == 1


@pytest.mark.parametrize("tail", [b"8\r\ndata: {", b"5\r\ndata:\r\n", b"1f"])
async def test_a_stream_that_breaks_within_an_event_just_ends(tail: bytes) -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"n":1}', finish=False)
        await call.send(tail)
        call.writer.close()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post({**ASK, "stream": True}))
        await client.head()
        assert await client.rest() == b'f\r\ndata: {"n":1}\n\n\r\n' + tail


async def test_a_body_that_breaks_off_is_not_made_whole() -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        call.writer.close()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        await client.head()
        assert await client.rest() == b"half"


async def test_an_http_1_0_client_gets_the_bare_body() -> None:
    async def script(call: Call) -> None:
        await call.stream(b"1", b"2")

    async with engine(script) as upstream, gateway(upstream) as front:
        head, _, body = (await front.once(post(ASK, version=b"1.0"))).partition(b"\r\n\r\n")
        assert body == b"data: 1\n\ndata: 2\n\n"
        assert b"connection: close" in head
        assert b"transfer-encoding" not in head


async def test_an_http_1_0_client_is_told_of_a_broken_stream_by_an_event_or_by_a_reset() -> None:
    async def between_events(call: Call) -> None:
        await call.stream(b"1", finish=False)
        call.writer.close()

    async def within_an_event(call: Call) -> None:
        await call.stream(b"1", finish=False)
        await call.send(b"3\r\ndat\r\n")
        call.writer.close()

    async with engine(between_events) as upstream, gateway(upstream) as front:
        assert b'"stream_broken"' in await front.once(post(ASK, version=b"1.0"))
        upstream.script = within_an_event
        with pytest.raises(ConnectionResetError):
            await front.once(post(ASK, version=b"1.0"))


async def test_interim_answers_pass_to_clients_that_know_them() -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await call.answer()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        assert [(await client.head()).status, (await client.response()).status] == [103, 200]
        assert (await front.once(post(ASK, version=b"1.0"))).startswith(b"HTTP/1.1 200")


async def test_an_answer_that_only_the_end_delimits() -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        call.writer.close()

    async with engine(script) as upstream, gateway(upstream) as front:
        raw = await front.once(post(ASK))
        assert raw.endswith(b"connection: close\r\n\r\nhello")


async def test_a_client_that_leaves_closes_the_engines_connection_at_once() -> None:
    running, gone = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        running.set()
        await call.gone()
        gone.set()

    async with engine(script) as upstream, gateway(upstream) as front:
        async with await front.client() as client:
            await client.send(post({**ASK, "stream": True}))
            await running.wait()
        await asyncio.wait_for(gone.wait(), 10)
        assert front.metric("requests_total", model=MODEL, version="v4", code="disconnected") == 1
        assert front.metric("requests_in_flight", model=MODEL, version="v4") == 0


async def test_a_client_that_leaves_before_the_answer_is_noticed_as_well() -> None:
    running, gone = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        running.set()
        await call.gone()
        gone.set()

    async with engine(script) as upstream, gateway(upstream) as front:
        async with await front.client() as client:
            await client.send(post(ASK))
            await running.wait()
        await asyncio.wait_for(gone.wait(), 10)


async def test_an_engine_that_says_nothing_is_given_up() -> None:
    running = asyncio.Event()

    async def script(call: Call) -> None:
        running.set()
        await call.gone()

    settings = Settings(timeouts=Timeouts(engine=30))
    async with (
        engine(script) as upstream,
        gateway(upstream, settings=settings) as front,
        await front.client() as client,
    ):
        await client.send(post(ASK))
        await running.wait()
        front.later(29)
        assert front.metric("requests_in_flight", model=MODEL, version="v4") == 1
        front.later(31)
        response = await client.response()
        assert (response.status, response.code) == (504, "engine_timeout")


async def test_a_slow_reader_holds_the_engine_back_and_not_the_memory() -> None:
    sent = 0
    stopped = asyncio.Event()

    async def script(call: Call) -> None:
        nonlocal sent
        await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        try:
            while sent < 100_000_000:
                async with asyncio.timeout(1):
                    await call.send(b"x" * 100_000)
                sent += 100_000
        except TimeoutError:
            stopped.set()
        await call.gone()

    async with engine(script) as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        await stopped.wait()
        assert sent < 50_000_000  # socket buffers and a little more
        received = len(await client.reader.readuntil(b"\r\n\r\n"))
        while received < sent:
            received += len(await client.reader.read(1_000_000))
        front.later(1)  # the client reads again: nothing is stuck


async def test_the_table_changes_between_requests_not_under_them() -> None:
    proceed, running = asyncio.Event(), asyncio.Event()

    async def slow(call: Call) -> None:
        running.set()
        await proceed.wait()
        await call.answer(b'"old"')

    async def new(call: Call) -> None:
        await call.answer(b'"new"')

    async with (
        engine(slow, "old") as old,
        engine(new, "new") as other,
        gateway(old) as front,
        await front.client() as first,
        await front.client() as second,
    ):
        await first.send(post(ASK))
        await running.wait()
        front.state.swap(table(other))
        await second.send(post(ASK))
        assert (await second.response()).body == b'"new"'
        proceed.set()
        assert (await first.response()).body == b'"old"'


async def test_a_request_of_many_megabytes() -> None:
    content = "ä" * 5_000_000
    ask = {**ASK, "messages": [{"role": "user", "content": content}]}
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(json.dumps(ask, ensure_ascii=False).encode()))
        assert (await client.response()).status == 200
        assert upstream.received[0].json["messages"][0]["content"] == content


async def test_a_known_model_that_no_engine_holds() -> None:
    async with gateway(settings=NO_HOLD) as front, await front.client() as client:
        await client.send(post(ASK))
        response = await client.response()
        error = response.json["error"]
        assert (response.status, response.headers["retry-after"], error["code"]) == (503, "5", "model_not_available")


async def test_canary_weights_name_the_version_that_answered() -> None:
    async with engine() as upstream:
        canary = Route("canary", (Target("canary@v2-00000000", 100, (upstream.backend,)),))
        async with gateway(upstream, canary=canary) as front, await front.client() as client:
            await client.send(post({**ASK, "model": "canary"}))
            assert (await client.response()).headers["x-tunefleet-model"] == "canary@v2-00000000"
            assert upstream.received[0].json["model"] == "canary@v2-00000000"
