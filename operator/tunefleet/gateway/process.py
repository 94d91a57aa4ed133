"""One gateway process: the order in which things start and stop."""

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tunefleet.kube.client import Client

from .admin import admin_app, serve_admin
from .agents import Agents
from .gauges import add_gauges
from .outlets import outlets
from .runtime import settle
from .server import Server
from .settings import Settings
from .sources import Sources
from .state import EngineKeys, GatewayState
from .tenancy import KeySettings, Tenancy, access_for
from .tls import Tls, TlsFiles
from .worker_admin import serve_worker_admin

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
    tls: TlsFiles | None = None
    """What the public port speaks TLS with; None: it speaks none."""
    worker_socket: Path | None = None
    """Of one among several workers (workers.py): where its admin port is, instead of on `admin_port`."""
    keys: KeySettings | None = None
    """Where keys are read from; None: open to everybody."""

    @property
    def is_worker(self) -> bool:
        """Another process started this one, and others serve on the same public port."""
        return self.worker_socket is not None


async def run(process: Process, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises NoClusterError, and OSError when a port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if process.is_worker:
        loop.add_reader(sys.stdin, _parent_ended, stop)
    async with await Client.connect(process.kubeconfig) as client:
        await serve(process, settings, client, stop)


def _parent_ended(stop: asyncio.Event) -> None:
    """Nothing is ever written to a worker's standard input: it can be read when it ends, with the parent."""
    asyncio.get_running_loop().remove_reader(sys.stdin)
    stop.set()


async def serve(process: Process, settings: Settings, client: Client, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain. A bug in a watch, or a port that is taken, ends it at once."""
    access = access_for(process.keys)
    state = GatewayState(settings, EngineKeys(process.fleet_key), asyncio.get_running_loop().time, access)
    async with outlets(state.telemetry, settings):
        await _serve(process, state, client, stop)


async def _serve(process: Process, state: GatewayState, client: Client, stop: asyncio.Event) -> None:
    tls = None if process.tls is None else Tls(process.tls)
    server = Server(state, tls)
    add_gauges(state, tls)
    agents = Agents(process.fleet_key, state.alive)
    sources = Sources(client, state, agents, process.namespaces)
    tenancy = Tenancy(client, state, process.keys, process.admin_port)
    app = admin_app(state, lambda: server.listening)
    tenancy.serve(app)
    admin = await _serve_admin(app, process)
    try:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(sources.run()),
                group.create_task(tenancy.run()),
                group.create_task(server.sweep()),
                group.create_task(_open(server, sources, tenancy, process)),
            ]
            await stop.wait()
            log.info("draining for at most %g seconds", state.settings.drain_seconds)
            await server.drain(state.settings.drain_seconds)
            for task in running:
                task.cancel()
    finally:
        await server.drain(0)
        await admin.cleanup()


async def _serve_admin(app: web.Application, process: Process) -> web.AppRunner:
    if process.worker_socket is not None:
        return await serve_worker_admin(app, process.worker_socket)
    return await serve_admin(app, process.host, process.admin_port)


async def _open(server: Server, sources: Sources, tenancy: Tenancy, process: Process) -> None:
    """Take requests once table and keys are whole: what was not seen yet must not be called unknown."""
    await sources.complete.wait()
    await tenancy.complete()
    settle()
    await server.listen(process.host, process.port, share=process.is_worker)
    log.info("serving on port %d", server.port)
