"""The public port: accepts, looks at the clock for everybody once a second, and drains on the way out."""

import asyncio
import contextlib

from .connection import ClientConnection
from .connections import Connections
from .listeners import Listeners, bind
from .state import GatewayState
from .tls import Tls

SWEEP_SECONDS = 1.0
"""One timer for all deadlines: two timers a request would cost more than the rest of its bookkeeping."""


class Server:
    """The public port and its connections."""

    def __init__(self, state: GatewayState, tls: Tls | None = None) -> None:
        """With `tls` the port speaks TLS."""
        self._state = state
        self._tls = tls
        self._listeners: Listeners | None = None
        self.connections: Connections[ClientConnection] = Connections()

    async def listen(self, host: str, port: int, *, share: bool = False) -> None:
        """Accept connections from now on. Raises OSError when the address is taken.

        `share`: other processes of the same user may listen there too.
        """
        sockets = await bind(host, port, share=share)
        context = self._tls.context if self._tls else None
        self._listeners = Listeners(sockets, lambda: ClientConnection(self._state, self.connections), context)

    @property
    def listening(self) -> bool:
        """The port is open, or was until the drain."""
        return self._listeners is not None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listeners is not None
        return self._listeners.port

    async def sweep(self) -> None:
        """Keep every deadline, and follow the certificate, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._state.clock()
            for connection in self.connections:
                connection.expire(now)
            self._state.sweep()
            self.renew()

    async def drain(self, seconds: float) -> None:
        """Accept nothing new, let what runs finish for so long, then close the rest."""
        self._state.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._listeners is not None:
                    await self._listeners.close()
                await self.connections.all_gone()
        for connection in self.connections:
            connection.end()
        self._state.pool.close()

    def renew(self) -> None:
        """Take the certificate that the files hold now, for connections to come."""
        if self._tls is not None and self._tls.renewed() and self._listeners is not None:
            self._listeners.context = self._tls.context
