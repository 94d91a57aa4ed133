"""New connections to engines, and the end of idle ones."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from .engines import IDLE_SECONDS, EngineConnection
from .pods import Pod

log = logging.getLogger(__name__)

EXTERNAL_SECONDS = 5.0
"""Until an external upstream's name is resolved, its connection accepted and its certificate verified."""


class Caller(Protocol):
    """Who needs a connection."""

    def reached(self, engine: EngineConnection) -> None:
        """Here it is."""

    def not_reached(self) -> None:
        """There is none."""


class EnginePool:
    """Dials, and closes what is idle. What is idle waits at its pod, see `engines.take`."""

    def __init__(self, pods: Callable[[], Iterable[Pod]], connect_timeout: float) -> None:
        """`pods`: all that are known; `connect_timeout` in seconds."""
        self._pods = pods
        self._connect_timeout = connect_timeout

    async def reach(self, pod: Pod, caller: Caller) -> None:
        """Dial, and tell the caller what came of it."""
        try:
            engine = await self.dial(pod)
        except OSError as error:
            if pod.backend is None:
                log.warning("the fallback %s cannot be reached: %s", pod.label, str(error) or type(error).__name__)
            caller.not_reached()
        else:
            caller.reached(engine)

    async def dial(self, pod: Pod) -> EngineConnection:
        """A new connection. Raises OSError (TimeoutError included) when there is none within the time-out."""
        loop = asyncio.get_running_loop()
        name = pod.host if pod.tls else None
        async with asyncio.timeout(self._connect_timeout if pod.backend is not None else EXTERNAL_SECONDS):
            _, connection = await loop.create_connection(
                lambda: EngineConnection(pod),  # type: ignore[type-var]  # a protocol by its methods
                pod.host,
                pod.port,
                ssl=pod.tls,
                server_hostname=name,
            )
        return connection

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        before = now - IDLE_SECONDS
        for pod in self._pods():
            for connection in [c for c in pod.idle if c.idle_since <= before]:
                pod.idle.remove(connection)
                connection.transport.abort()

    def close(self) -> None:
        """Close everything that is idle."""
        for pod in self._pods():
            for connection in pod.idle:
                connection.transport.abort()
            pod.idle.clear()
