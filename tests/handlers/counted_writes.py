"""A proxy before the API server that sees every write of an operator, and ends the operator right after one of them.

The write has happened when the operator dies, and the operator never learns of it: the worst moment there is.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from tests.handlers.control_plane import OPERATOR_TOKEN, ControlPlane
from tests.reconcile.fake_agent import Agent

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


class Counter:
    """Counts writes to the API server and orders to agents; renewals of the Lease do not count."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fired = False
        self._left = 0
        self._kill: Callable[[], None] = lambda: None

    def arm(self, writes: int, kill: Callable[[], None]) -> None:
        """Call `kill` when this many more writes have happened."""
        self._left, self._kill, self.fired = writes, kill, False
        self.seen.clear()

    def count(self, write: str) -> None:
        """One more has happened."""
        self.seen.append(write)
        self._left -= 1
        if self._left == 0:
            self.fired = True
            self._kill()


class CountedAgent(Agent):
    """An agent whose orders count as writes."""

    def __init__(self, engine_name: str, counter: Counter) -> None:
        super().__init__(engine_name)
        self._counter = counter

    async def put(self, request: web.Request) -> web.Response:
        """Takes the desired set; the operator may be dead before it hears of it."""
        answer = await super().put(request)
        self._counter.count("PUT /v1/adapters")
        return answer


@asynccontextmanager
async def proxy(plane: ControlPlane, counter: Counter, directory: Path) -> AsyncIterator[Path]:
    """Runs while the block does; gives a kubeconfig with the operator's access through it."""
    trust = ssl.create_default_context(cafile=str(plane.directory / "pki" / "ca.crt"))
    limit = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=limit, auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            return await _forward(plane, counter, session, request)

        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield _kubeconfig(f"http://127.0.0.1:{runner.addresses[0][1]}", directory / "counted.kubeconfig")
        finally:
            await runner.cleanup()


async def _forward(
    plane: ControlPlane, counter: Counter, session: aiohttp.ClientSession, request: web.Request
) -> web.StreamResponse:
    url = URL(plane.url + request.raw_path, encoded=True)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
    async with session.request(request.method, url, headers=headers, data=await request.read() or None) as answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
        if request.method in WRITES:
            body = await answer.read()
            if "/leases" not in request.path:
                counter.count(f"{request.method} {request.path} {answer.status}")
            return web.Response(status=answer.status, headers=kept, body=body)
        response = web.StreamResponse(status=answer.status, headers=kept)
        with suppress(ConnectionResetError):  # the operator was killed
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        return response


def _kubeconfig(server: str, path: Path) -> Path:
    context = {"cluster": "counted", "user": "operator"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "counted", "cluster": {"server": server}}],
        "users": [{"name": "operator", "user": {"token": OPERATOR_TOKEN}}],
        "contexts": [{"name": "counted", "context": context}],
        "current-context": "counted",
    }
    path.write_text(yaml.safe_dump(content))
    return path
