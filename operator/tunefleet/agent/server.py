"""The agent's HTTP API: the desired set in, the report out, inspections, probes. See docs/reference/agent-api.md."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import ValidationError

from tunefleet.api.names import digest_hex
from tunefleet.engine.adapters_api import (
    ADAPTERS_PATH,
    INSPECTIONS_PATH,
    LONG_POLL_SECONDS,
    AdaptersReport,
    AdaptersRequest,
    DesiredAdapter,
    InspectionBody,
)

from .board import Board
from .exposition import exposition
from .holder import Holder
from .library import Library
from .readiness import Readiness
from .settings import AgentSettings

MAX_BODY_BYTES = 4 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Agent:
    """The parts of a running agent that requests are answered from."""

    settings: AgentSettings
    board: Board
    holder: Holder
    library: Library
    readiness: Readiness
    loops: tuple[asyncio.Task[None], ...]
    """What must run as long as the agent does."""


def make_app(agent: Agent) -> web.Application:
    """The application; the caller runs it."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    routes = _Routes(agent)
    writers = (agent.settings.write_token,)
    readers = (*writers, agent.settings.read_token)
    app.router.add_put(ADAPTERS_PATH, _guarded(writers, routes.put_adapters))
    app.router.add_get(ADAPTERS_PATH, _guarded(readers, routes.get_adapters))
    app.router.add_post(INSPECTIONS_PATH, _guarded(writers, routes.post_inspection))
    app.router.add_get("/healthz", routes.healthz)
    app.router.add_get("/readyz", routes.readyz)
    app.router.add_get("/metrics", routes.metrics)
    return app


@dataclass(frozen=True)
class _Routes:
    agent: Agent

    async def put_adapters(self, request: web.Request) -> web.Response:
        try:
            body = AdaptersRequest.read(await _json(request))
        except (ValidationError, ValueError) as error:
            return _error(400, _sentence(error))
        if problem := problem_of(body.adapters, self.agent.settings.base_engine_name):
            return _error(400, problem)
        await self.agent.holder.apply(body.adapters)
        return _report(self.agent.board.report, status=202)

    async def get_adapters(self, request: web.Request) -> web.Response:
        report = await self.agent.board.changed_since(request.query.get("after", ""), LONG_POLL_SECONDS)
        return _report(report)

    async def post_inspection(self, request: web.Request) -> web.Response:
        try:
            body = InspectionBody.read(await _json(request))
        except (ValidationError, ValueError) as error:
            return _error(400, _sentence(error))
        result = await self.agent.library.inspect(body.uri, body.secret_name, body.digest)
        return web.json_response(result.dump())

    async def healthz(self, _: web.Request) -> web.Response:
        if any(loop.done() for loop in self.agent.loops):
            return web.Response(status=500, text="a loop of the agent has ended; restart it\n")
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        report = self.agent.board.report
        if self.agent.readiness.ready(report):
            return web.Response(text="ok\n")
        waiting = report.message or "Waiting for adapters to be loaded."
        return web.Response(status=503, text=f"{waiting}\n")

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=exposition(self.agent.board.report), content_type="text/plain")


def problem_of(adapters: tuple[DesiredAdapter, ...], base_name: str) -> str | None:
    """A sentence on what is wrong with a desired set, or None."""
    names = [adapter.engine_name for adapter in adapters]
    if len(set(names)) != len(names):
        return "an engine name stands twice in the set"
    if base_name in names:
        return f"{base_name} is the base's engine name"
    for adapter in adapters:
        if adapter.engine_name.rpartition("-")[2] != digest_hex(adapter.digest)[:8]:
            return f"{adapter.engine_name} does not end with the first 8 digits of its digest {adapter.digest}"
    return None


def _guarded(tokens: tuple[str, ...], handler: Handler) -> Handler:
    """The handler for those who bear one of these tokens; an empty token lets nobody in."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = [token and hmac.compare_digest(given.encode(), token.encode()) for token in tokens]
        if scheme.lower() != "bearer" or not any(known):
            return _error(401, "this needs the operator's token, or for reading the gateway's")
        return await handler(request)

    return guarded


async def _json(request: web.Request) -> dict[str, object]:
    document = json.loads(await request.text())
    if not isinstance(document, dict):
        raise ValueError("the body must be a JSON object")
    return document


def _sentence(error: ValueError) -> str:
    """What is wrong and where, without repeating what was sent."""
    if not isinstance(error, ValidationError):
        return "the body is not JSON of the expected form"
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _report(report: AdaptersReport, status: int = 200) -> web.Response:
    return web.json_response(report.dump(), status=status, headers={"ETag": f'"{report.etag}"'})


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)
