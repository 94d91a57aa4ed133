"""Connections to engines, reused while they are fresh.

A request is never sent over a connection that the engine has closed, as far as that can be known. So idle connections
are dropped before the engine would drop them, and one that was idle is looked at before it is used. Where an engine
closes at that very moment, TCP tells what became of the request, see `unacknowledged`.
"""

import asyncio
import fcntl
import select
import struct
import termios
from typing import Final, Protocol, cast, final

from .pods import Pod

IDLE_SECONDS: Final = 4.0
"""vLLM closes idle connections after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE); we go first."""
_FRESH_SECONDS: Final = 0.05
"""Idle for less than this, a connection is not looked at before use: a system call saved under load."""


class Listener(Protocol):
    """Who waits for what an engine says."""

    def engine_said(self, data: bytes) -> None:
        """Bytes of the response."""

    def engine_left(self, unacknowledged: int) -> None:
        """The connection is gone, and so many of the last bytes sent were not acknowledged."""


@final
class EngineConnection:
    """One connection to one pod, with at most one request on it. An asyncio protocol, by its methods."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.listener: Listener | None = None
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """Its transport, once connected."""
        transport = self._transport
        assert transport is not None
        return transport

    @property
    def quiet(self) -> bool:
        """Neither bytes nor the end of the stream wait in the socket, that the loop has not told us of yet."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def send(self, listener: Listener, pieces: list[bytes | memoryview]) -> None:
        """A request; the listener hears what comes of it."""
        self.listener = listener
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        else:
            self.transport.writelines(pieces)

    def drop(self) -> None:
        """Close at once, and tell nobody."""
        self.listener = None
        self.transport.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """The loop's."""
        listener = self.listener
        if listener is None:
            self.transport.abort()  # nobody asked
        else:
            listener.engine_said(data)

    def eof_received(self) -> None:
        """The loop's: nothing more comes, and nothing more is sent."""

    def pause_writing(self) -> None:
        """The loop's. A request is held in memory as a whole anyway."""

    def resume_writing(self) -> None:
        """The loop's."""

    def connection_lost(self, _exc: Exception | None) -> None:
        """The loop's."""
        if self in self.pod.idle:
            self.pod.idle.remove(self)
        listener = self.listener
        self.listener = None
        if listener is not None:
            listener.engine_left(unacknowledged(self.transport))


def take(pod: Pod, now: float) -> EngineConnection | None:
    """A connection to this pod that is open and idle."""
    waiting = pod.idle
    while waiting:
        connection = waiting.pop()
        idle = now - connection.idle_since
        fresh = idle < _FRESH_SECONDS or (idle < IDLE_SECONDS and connection.quiet)
        if fresh and not connection.transport.is_closing():
            return connection
        connection.transport.abort()
    return None


def give_back(connection: EngineConnection, now: float) -> None:
    """A connection whose response is complete and that the engine keeps open."""
    connection.listener = None
    transport = connection.transport
    if transport.is_closing() or transport.get_write_buffer_size():
        transport.abort()
        return
    connection.idle_since = now
    connection.pod.idle.append(connection)


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes at the end of what was sent of which the other side never said that it had them.

    A process that dies or closes sends a FIN, which acknowledges all that its host had received by then; or a RST when
    something lay there unread, and a request that was not read to its end was not run. So a request of which nothing
    was acknowledged did not run.
    """
    found = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return cast("int", struct.unpack("i", found)[0])
