"""Connections to engines are reused while they are surely good, and not a moment longer."""

import asyncio
import socket

import pytest

from tunefleet.gateway.engines import IDLE_SECONDS, EngineConnection, EnginePool

from .harness import Engine, engine


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def idle(pool: EnginePool, upstream: Engine) -> EngineConnection:
    connection = await pool.dial(upstream.backend)
    pool.give_back(connection)
    return connection


async def test_the_last_one_used_is_taken_first() -> None:
    async with engine() as upstream:
        pool = EnginePool(Clock(), 1)
        assert pool.take(upstream.backend) is None
        first, second = [await pool.dial(upstream.backend) for _ in range(2)]
        pool.give_back(first)
        pool.give_back(second)
        assert [pool.take(upstream.backend), pool.take(upstream.backend), pool.take(upstream.backend)] == [
            second, first, None,
        ]  # fmt: skip
        first.transport.abort()
        second.transport.abort()


async def test_idle_ones_go_before_the_engine_closes_them() -> None:
    async with engine() as upstream:
        clock = Clock()
        pool = EnginePool(clock, 1)
        connection = await idle(pool, upstream)
        clock.now = IDLE_SECONDS - 0.1
        pool.sweep()
        assert pool.idle == 1
        clock.now = IDLE_SECONDS
        assert pool.take(upstream.backend) is None
        assert connection.transport.is_closing()
        other = await idle(pool, upstream)
        clock.now += IDLE_SECONDS
        pool.sweep()
        assert (pool.idle, other.transport.is_closing()) == (0, True)


async def test_one_that_the_engine_closed_is_not_taken() -> None:
    async with engine() as upstream:
        pool = EnginePool(Clock(), 1)
        connection = await idle(pool, upstream)
        lost = Lost()
        connection.listener = lost
        await upstream.stop()
        await lost.event.wait()
        assert (pool.idle, pool.take(upstream.backend)) == (0, None)


class Lost:
    """Waits for the end of a connection."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def engine_said(self, data: bytes) -> None:
        raise AssertionError(data)

    def engine_left(self, unacknowledged: int) -> None:
        assert unacknowledged == 0
        self.event.set()


async def test_one_that_was_closed_while_the_loop_looked_elsewhere_is_not_taken() -> None:
    """The FIN is in the socket, and the loop has had no turn to say so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = Engine(port=listener.getsockname()[1])
        clock = Clock()
        pool = EnginePool(clock, 1)
        connection = await idle(pool, upstream)
        accepted, _ = listener.accept()
        clock.now = 1
        assert connection.quiet
        accepted.close()
        assert not connection.transport.is_closing()
        assert pool.take(upstream.backend) is None
        assert connection.transport.is_closing()


async def test_one_that_speaks_unasked_is_closed() -> None:
    async with engine() as upstream:
        pool = EnginePool(Clock(), 1)
        connection = await idle(pool, upstream)
        connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        assert connection.transport.is_closing()
        assert pool.take(upstream.backend) is None


async def test_closing_the_pool_closes_what_is_idle() -> None:
    async with engine() as upstream:
        pool = EnginePool(Clock(), 1)
        connection = await idle(pool, upstream)
        pool.close()
        assert (pool.idle, connection.transport.is_closing()) == (0, True)


async def test_nobody_there() -> None:
    with pytest.raises(ConnectionRefusedError):
        await EnginePool(Clock(), 1).dial(Engine(port=1).backend)
