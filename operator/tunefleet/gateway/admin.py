"""The admin port, apart from the public one: health, readiness, metrics, demand, and the route table for people."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from tunefleet.plan.demand import DEMAND_PATH
from tunefleet.plan.route_table import Backend, RouteTable, Target

from .balancer import Balancer
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

    async def metrics(_request: web.Request) -> web.Response:
        text = await asyncio.to_thread(state.metrics.render)  # thousands of versions take a while
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def table(_request: web.Request) -> web.Response:
        return web.json_response(describe(state.table, state.balancer))

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


def describe(table: RouteTable, balancer: Balancer) -> dict[str, Any]:
    """The route table as JSON: every name, its versions, and the pods that hold them."""
    return {
        "models": [model.name for model in table.models],
        "routes": {
            name: [_target(target, balancer) for target in route.targets]
            for name, route in sorted(table.routes.items())
        },
    }


def _target(target: Target, balancer: Balancer) -> dict[str, Any]:
    return {
        "engineName": target.engine_name,
        "weight": target.weight,
        "pods": [_pod(backend, balancer) for backend in target.backends],
    }


def _pod(backend: Backend, balancer: Balancer) -> dict[str, Any]:
    return {
        "namespace": backend.pod.namespace,
        "name": backend.pod.name,
        "endpoint": backend.endpoint,
        "address": f"{backend.ip}:{backend.port}",
        "base": backend.base_engine_name,
        "inFlight": balancer.in_flight(backend.pod),
    }
