"""The admin port, apart from the public one: health, readiness, metrics, demand, and the route table for people."""

from collections.abc import Callable

from aiohttp import web

from tunefleet.plan.demand import DEMAND_PATH

from .describe import describe
from .metrics import CONTENT_TYPE
from .state import GatewayState


def admin_app(state: GatewayState, ready: Callable[[], bool]) -> web.Application:
    """GET /healthz, /readyz, /metrics, /table and DEMAND_PATH."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        if state.draining:
            return web.Response(status=503, text="draining\n")
        if not ready():
            return web.Response(status=503, text="waiting for the first lists and reports\n")
        return web.Response(text="ok\n")

    async def metrics(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
        async for part in state.metrics.parts():
            await response.write(part)
        await response.write_eof()
        return response

    async def table(_request: web.Request) -> web.Response:
        return web.json_response(describe(state))

    async def demand(request: web.Request) -> web.Response:
        report = await state.demand.next_report(request.query.get("after", ""))
        return web.json_response(report.dump())

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/table", table)
    app.router.add_get(DEMAND_PATH, demand)
    return app


async def serve_admin(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen; `cleanup` the runner to stop. Raises OSError when the address is taken."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
