"""Accepting, and leaving without cutting a stream."""

import asyncio

import pytest

from .harness import ASK, Call, engine, gateway, get, post


async def test_a_drain_lets_streams_finish() -> None:
    proceed, running = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        running.set()
        await proceed.wait()
        await call.event(b"2")
        await call.send(b"0\r\n\r\n")

    async with engine(script) as upstream, gateway(upstream) as front:
        client = await front.client()
        await client.send(post({**ASK, "stream": True}, b"Connection: close"))
        await running.wait()
        drain = asyncio.create_task(front.server.drain(60))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await front.client()
        proceed.set()
        assert (await client.response()).body == b"data: 1\n\ndata: 2\n\n"
        client.writer.close()
        await drain


async def test_a_drain_has_an_end() -> None:
    running = asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        running.set()
        await call.gone()

    async with engine(script) as upstream, gateway(upstream) as front:
        client = await front.client()
        await client.send(post({**ASK, "stream": True}))
        await running.wait()
        await front.server.drain(0.01)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.response()
        await front.server.connections.all_gone()
        client.writer.close()


async def test_the_sweep_keeps_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunefleet.gateway.server.SWEEP_SECONDS", 0.01)
    async with engine() as upstream, gateway(upstream) as front, await front.client() as client:
        await client.send(post(ASK))
        await client.response()
        (pod,) = front.state.pods()
        assert len(pod.idle) == 1
        clock = front.state.clock
        front.state.clock = lambda: clock() + 1000
        sweeping = asyncio.create_task(front.server.sweep())
        assert await client.rest() == b""
        assert pod.idle == []
        sweeping.cancel()


async def test_an_address_that_is_taken_is_an_error() -> None:
    async with gateway() as front, gateway() as other:
        with pytest.raises(OSError, match="in use"):
            await other.server.listen("127.0.0.1", front.port)


async def test_both_ports_answer_health() -> None:
    async with gateway() as front:
        assert (await front.once(get("/healthz", b"Connection: close"))).endswith(b"ok\n")
