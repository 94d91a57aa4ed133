"""The public port: accepts, looks at the clock for everybody once a second, and drains on the way out."""

import asyncio
import contextlib

from .connection import ClientConnection
from .connections import Connections
from .state import GatewayState

BACKLOG = 4096
"""Connections that wait to be accepted; the kernel cuts it to net.core.somaxconn."""
SWEEP_SECONDS = 1.0
"""One timer for all deadlines: two timers a request would cost more than the rest of its bookkeeping."""


class Server:
    """One listening socket and its connections."""

    def __init__(self, state: GatewayState) -> None:
        self._state = state
        self._listener: asyncio.Server | None = None
        self.connections: Connections[ClientConnection] = Connections()

    async def listen(self, host: str, port: int) -> None:
        """Accept connections from now on. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: ClientConnection(self._state, self.connections), host, port, backlog=BACKLOG
        )

    @property
    def listening(self) -> bool:
        """The port is open, or was until the drain."""
        return self._listener is not None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener is not None
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def sweep(self) -> None:
        """Keep every deadline, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._state.clock()
            for connection in self.connections:
                connection.expire(now)
            self._state.sweep()

    async def drain(self, seconds: float) -> None:
        """Accept nothing new, let what runs finish for so long, then close the rest."""
        self._state.draining = True
        if self._listener is not None:
            self._listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.connections.all_gone()
        for connection in self.connections:
            connection.close()
        self._state.pool.close()
