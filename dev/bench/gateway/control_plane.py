"""The control plane as a gateway sees it, in memory: lists and watches of the API server, and the agents' reports.

A real API server would say the same: the gateway only reads it, and nothing of it is on the way of a request.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tunefleet.api.names import AGENT_PORT
from tunefleet.engine.adapters_api import ADAPTERS_PATH, LONG_POLL_SECONDS
from tunefleet.kube.resources import RESOURCES

from . import objects

Json = dict[str, Any]


class ApiServer:
    """Objects by kind, namespace and name; every change goes to the open watches."""

    def __init__(self) -> None:
        self._version = 1
        self._objects: defaultdict[str, dict[tuple[str, str], Json]] = defaultdict(dict)
        self._watches: defaultdict[str, set[asyncio.Queue[Json]]] = defaultdict(set)
        self._told: defaultdict[str, list[tuple[int, Json]]] = defaultdict(list)

    def put(self, kind: str, obj: Json) -> None:
        """Create or replace an object."""
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        type_ = "MODIFIED" if key in self._objects[kind] else "ADDED"
        self._objects[kind][key] = self._tell(kind, type_, obj)

    def delete(self, kind: str, name: str, namespace: str = objects.NAMESPACE) -> None:
        """Delete an object."""
        self._tell(kind, "DELETED", self._objects[kind].pop((namespace, name)))

    def _tell(self, kind: str, type_: str, obj: Json) -> Json:
        self._version += 1
        stamped = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        event = {"type": type_, "object": stamped}
        if self._watches[kind]:
            self._told[kind].append((self._version, event))
        for watch in self._watches[kind]:
            watch.put_nowait(event)
        return stamped

    def app(self) -> web.Application:
        """GET of every kind that Tunefleet knows."""
        app = web.Application()
        for kind, resource in RESOURCES.items():
            app.router.add_get(resource.path(), self._handler(kind))
            if resource.namespaced:
                root, plural = resource.path().rsplit("/", 1)
                app.router.add_get(f"{root}/namespaces/{{namespace}}/{plural}", self._handler(kind))
        return app

    def _handler(self, kind: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            wanted = request.match_info.get("namespace")
            if "watch" in request.query:
                return await self._watch(kind, wanted, request)
            items = [obj for (namespace, _), obj in self._objects[kind].items() if wanted in (None, namespace)]
            return web.json_response(_page(items, request.query, self._version))

        return handle

    async def _watch(self, kind: str, wanted: str | None, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        for version, event in self._told[kind]:
            if version > since:
                queue.put_nowait(event)
        self._watches[kind].add(queue)
        try:
            while True:
                event = await queue.get()
                if wanted in (None, event["object"]["metadata"]["namespace"]):
                    await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self._watches[kind].discard(queue)


def _page(items: Sequence[Json], query: Mapping[str, str], version: int) -> Json:
    """The part of a list that is asked for; the token that continues it is how many came before."""
    start, limit = int(query.get("continue", 0)), int(query.get("limit", len(items)))
    rest = {"continue": str(start + limit)} if start + limit < len(items) else {}
    return {"metadata": {"resourceVersion": str(version), **rest}, "items": items[start : start + limit]}


@dataclass
class Agent:
    """The agent of one engine: a long poll that tells what the engine holds."""

    held: Sequence[tuple[int, int]]
    """Numbers and versions of adapters."""
    ready: bool = True
    _changes: int = 1
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, held: Sequence[tuple[int, int]], *, ready: bool = True) -> None:
        """Say something else from now on."""
        self.held, self.ready = held, ready
        self._changes += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        """GET ADAPTERS_PATH."""
        if request.query.get("after") == self._etag:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LONG_POLL_SECONDS)
        return web.json_response(objects.report(self.held, self._etag, ready=self.ready))

    @property
    def _etag(self) -> str:
        return f"boot-{self._changes}"


@dataclass
class ControlPlane:
    """What runs: the API server's address, and each engine's agent by the engine's address."""

    api: ApiServer
    port: int
    agents: dict[str, Agent]

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def control_plane(
    addresses: Sequence[str], held: Sequence[Sequence[tuple[int, int]]]
) -> AsyncIterator[ControlPlane]:
    """An API server without objects, and for each engine's address an agent that reports what is held there."""
    api = ApiServer()
    agents = {address: Agent(there) for address, there in zip(addresses, held, strict=True)}
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(api.app(), "127.0.0.1", 0))
        for address, agent in agents.items():
            await stack.enter_async_context(serving(agent_app(agent), address, AGENT_PORT))
        yield ControlPlane(api, port, agents)


def agent_app(agent: Agent) -> web.Application:
    """The agent's HTTP API, as far as gateways use it."""
    app = web.Application()
    app.router.add_get(ADAPTERS_PATH, agent.handle)
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve on the address; gives the port. Open watches and polls are cut at the end."""
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
