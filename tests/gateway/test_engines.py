"""Connections to engines are reused while they are surely good, and not a moment longer."""

import asyncio
import socket

import pytest

from tunefleet.gateway.engine_pool import EnginePool
from tunefleet.gateway.engines import IDLE_SECONDS, EngineConnection, give_back, take
from tunefleet.gateway.health import Health
from tunefleet.gateway.pods import Pod

from .harness import Engine, engine


def pod_of(upstream: Engine) -> Pod:
    backend = upstream.backend
    return Pod(backend.pod, backend.ip, backend.port, Health({}), backend=backend)


def pool_of(*pods: Pod) -> EnginePool:
    return EnginePool(lambda: pods, 1)


async def idle(pod: Pod, now: float = 0) -> EngineConnection:
    connection = await pool_of(pod).dial(pod)
    give_back(connection, now)
    return connection


async def test_the_last_one_used_is_taken_first() -> None:
    async with engine() as upstream:
        pod = pod_of(upstream)
        assert take(pod, 0) is None
        first, second = [await pool_of(pod).dial(pod) for _ in range(2)]
        give_back(first, 0)
        give_back(second, 0)
        assert [take(pod, 0), take(pod, 0), take(pod, 0)] == [second, first, None]
        first.transport.abort()
        second.transport.abort()


async def test_idle_ones_go_before_the_engine_closes_them() -> None:
    async with engine() as upstream:
        pod = pod_of(upstream)
        pool = pool_of(pod)
        connection = await idle(pod)
        pool.sweep(IDLE_SECONDS - 0.1)
        assert pod.idle == [connection]
        assert take(pod, IDLE_SECONDS) is None
        assert connection.transport.is_closing()
        other = await idle(pod, IDLE_SECONDS)
        pool.sweep(2 * IDLE_SECONDS)
        assert (pod.idle, other.transport.is_closing()) == ([], True)


async def test_one_that_the_engine_closed_is_not_taken() -> None:
    async with engine() as upstream:
        pod = pod_of(upstream)
        connection = await idle(pod)
        lost = Lost()
        connection.listener = lost
        await upstream.stop()
        await lost.event.wait()
        assert (pod.idle, take(pod, 0)) == ([], None)


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
        pod = pod_of(Engine(port=listener.getsockname()[1]))
        connection = await idle(pod)
        accepted, _ = listener.accept()
        assert connection.quiet
        accepted.close()
        assert not connection.transport.is_closing()
        assert take(pod, 1) is None
        assert connection.transport.is_closing()


async def test_one_that_speaks_unasked_is_closed() -> None:
    async with engine() as upstream:
        pod = pod_of(upstream)
        connection = await idle(pod)
        connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        assert connection.transport.is_closing()
        assert take(pod, 0) is None


async def test_closing_the_pool_closes_what_is_idle() -> None:
    async with engine() as upstream:
        pod = pod_of(upstream)
        connection = await idle(pod)
        pool_of(pod).close()
        assert (pod.idle, connection.transport.is_closing()) == ([], True)


async def test_nobody_there() -> None:
    pod = pod_of(Engine(port=1))
    with pytest.raises(ConnectionRefusedError):
        await pool_of(pod).dial(pod)
