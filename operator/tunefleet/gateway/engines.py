"""Connections to engines: one protocol each, reused while they are fresh.

A request is never sent over a connection that the engine has closed, as far as that can be known. So idle connections
are dropped before the engine would drop them, and one that was idle is looked at before it is used. Where an engine
closes at that very moment, TCP tells what became of the request, see `unacknowledged`.
"""

import asyncio
import fcntl
import select
import struct
import termios
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tunefleet.plan.route_table import Backend

IDLE_SECONDS = 4.0
"""vLLM closes idle connections after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE); we go first."""
_FRESH_SECONDS = 0.05
"""Idle for less than this, a connection is not looked at before use: a system call saved under load."""


class Address(NamedTuple):
    """Where an engine listens."""

    ip: str
    port: int


class Listener(Protocol):
    """Who waits for what an engine says."""

    def engine_said(self, data: bytes) -> None:
        """Bytes of the response."""

    def engine_left(self, unacknowledged: int) -> None:
        """The connection is gone, and so many of the last bytes sent were not acknowledged."""


class EngineConnection(asyncio.Protocol):
    """One connection to one engine, with at most one request on it."""

    def __init__(self, pool: "EnginePool", address: Address) -> None:
        self._pool = pool
        self.address = address
        self.listener: Listener | None = None
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """Its transport, once connected."""
        assert self._transport is not None
        return self._transport

    @property
    def quiet(self) -> bool:
        """Neither bytes nor the end of the stream wait in the socket, that the loop has not told us of yet."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.listener is None:
            self.transport.abort()  # nobody asked
        else:
            self.listener.engine_said(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._pool.forget(self)
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.engine_left(unacknowledged(self.transport))


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes at the end of what was sent of which the other side never said that it had them.

    A process that dies or closes sends a FIN, which acknowledges all that its host had received by then; or a RST when
    something lay there unread, and a request that was not read to its end was not run. So a request of which nothing
    was acknowledged did not run.
    """
    found = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", found)[0])


class EnginePool:
    """Connections that wait for another request, by address; the last one used is the first one taken."""

    def __init__(self, clock: Callable[[], float], connect_timeout: float) -> None:
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._idle: dict[Address, list[EngineConnection]] = {}

    def take(self, backend: Backend) -> EngineConnection | None:
        """A connection that is open and idle."""
        waiting = self._idle.get(Address(backend.ip, backend.port))
        while waiting:
            connection = waiting.pop()
            idle = self._clock() - connection.idle_since
            fresh = idle < _FRESH_SECONDS or (idle < IDLE_SECONDS and connection.quiet)
            if fresh and not connection.transport.is_closing():
                return connection
            connection.transport.abort()
        return None

    async def dial(self, backend: Backend) -> EngineConnection:
        """A new connection. Raises OSError (TimeoutError included) when there is none within the time-out."""
        address = Address(backend.ip, backend.port)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_timeout):
            _, connection = await loop.create_connection(lambda: EngineConnection(self, address), *address)
        return connection

    def give_back(self, connection: EngineConnection) -> None:
        """A connection whose response is complete and that the engine keeps open."""
        connection.listener = None
        if connection.transport.is_closing() or connection.transport.get_write_buffer_size():
            connection.transport.abort()
            return
        connection.idle_since = self._clock()
        self._idle.setdefault(connection.address, []).append(connection)

    def forget(self, connection: EngineConnection) -> None:
        """A connection that was lost."""
        waiting = self._idle.get(connection.address)
        if waiting and connection in waiting:
            waiting.remove(connection)

    def sweep(self) -> None:
        """Close what has been idle for too long."""
        before = self._clock() - IDLE_SECONDS
        for address, waiting in list(self._idle.items()):
            for connection in [c for c in waiting if c.idle_since <= before]:
                waiting.remove(connection)
                connection.transport.abort()
            if not waiting:
                del self._idle[address]

    def close(self) -> None:
        """Close everything that is idle."""
        for waiting in self._idle.values():
            for connection in list(waiting):
                connection.transport.abort()
        self._idle.clear()

    @property
    def idle(self) -> int:
        """Connections that wait."""
        return sum(map(len, self._idle.values()))
