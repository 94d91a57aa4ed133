"""One gateway process: the order in which things start and stop."""

import asyncio
import logging
import signal
from dataclasses import dataclass

from tunefleet.kube.client import Client

from .admin import admin_app, serve_admin
from .agents import Agents
from .server import Server
from .settings import Settings
from .sources import Sources
from .state import EngineKeys, GatewayState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """Where the process listens and reads from."""

    host: str
    port: int
    admin_port: int
    namespaces: tuple[str, ...]
    fleet_key: bytes
    kubeconfig: str | None


async def run(process: Process, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises NoClusterError, and OSError when a port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with await Client.connect(process.kubeconfig) as client:
        await serve(process, settings, client, stop)


async def serve(process: Process, settings: Settings, client: Client, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain. A bug in a watch, or a port that is taken, ends it at once."""
    state = GatewayState(settings, EngineKeys(process.fleet_key), asyncio.get_running_loop().time)
    server = Server(state)
    agents = Agents(process.fleet_key, state.alive)
    sources = Sources(client, state, agents, process.namespaces)
    admin = await serve_admin(admin_app(state, lambda: server.listening), process.host, process.admin_port)
    try:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(sources.run()),
                group.create_task(server.sweep()),
                group.create_task(_open(server, sources, process)),
            ]
            await stop.wait()
            log.info("draining for at most %g seconds", settings.drain_seconds)
            await server.drain(settings.drain_seconds)
            for task in running:
                task.cancel()
    finally:
        await admin.cleanup()


async def _open(server: Server, sources: Sources, process: Process) -> None:
    """Take requests once the table is whole: a model that was not seen yet must not be called unknown."""
    await sources.complete.wait()
    await server.listen(process.host, process.port)
    log.info("serving on port %d", server.port)
