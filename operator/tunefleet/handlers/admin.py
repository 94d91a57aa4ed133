"""The operator's own HTTP port: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from .health import Health, watchers_alive


@asynccontextmanager
async def serve(host: str, port: int, health: Health, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serve while the block runs. Raises OSError when the port is taken."""
    runner = web.AppRunner(application(health, registry), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def application(health: Health, registry: CollectorRegistry) -> web.Application:
    """The three routes."""

    async def healthz(_request: web.Request) -> web.Response:
        problems = health.problems(watchers_alive())
        return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)

    async def readyz(_request: web.Request) -> web.Response:
        words = "standing by" if health.leading_since is None else "leading"
        return web.Response(text=f"{words if health.ready else 'listing'}\n", status=200 if health.ready else 503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
