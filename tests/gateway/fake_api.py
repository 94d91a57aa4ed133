"""The API server as the gateway sees it: lists and watches of a few kinds, in memory."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.kube.client import Client
from tunefleet.kube.credentials import Server
from tunefleet.kube.resources import RESOURCES

Json = dict[str, Any]
KINDS = ("BaseModel", "LoRAAdapter", "InferenceEndpoint", "Pod", "Secret")


class FakeApi:
    """Objects by kind; every change goes to the open watches."""

    def __init__(self) -> None:
        self._version = 1
        self._objects: defaultdict[str, dict[str, Json]] = defaultdict(dict)
        self._watches: defaultdict[str, list[asyncio.Queue[Json]]] = defaultdict(list)
        self._told: defaultdict[str, list[tuple[int, Json]]] = defaultdict(list)
        self.paths: set[str] = set()
        self.selectors: set[str] = set()
        self.field_selectors: set[str] = set()

    def put(self, kind: str, obj: Json) -> None:
        """Create or replace an object."""
        name = obj["metadata"]["name"]
        type_ = "MODIFIED" if name in self._objects[kind] else "ADDED"
        self._objects[kind][name] = self._tell(kind, type_, obj)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self._tell(kind, "DELETED", self._objects[kind].pop(name))

    def _tell(self, kind: str, type_: str, obj: Json) -> Json:
        self._version += 1
        stamped = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        event = {"type": type_, "object": stamped}
        self._told[kind].append((self._version, event))
        for watch in self._watches[kind]:
            watch.put_nowait(event)
        return stamped

    def app(self, namespace: str = "ns") -> web.Application:
        app = web.Application()
        for kind in KINDS:
            for path in (RESOURCES[kind].path(), RESOURCES[kind].path(namespace)):
                app.router.add_get(path, self._handler(kind))
        app.router.add_get(RESOURCES["Secret"].path(namespace) + "/{name}", self._secret)
        return app

    async def _secret(self, request: web.Request) -> web.Response:
        found = self._objects["Secret"].get(request.match_info["name"])
        return web.json_response({"reason": "NotFound"}, status=404) if found is None else web.json_response(found)

    def _handler(self, kind: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.paths.add(request.path)
            self.selectors.add(request.query.get("labelSelector", ""))
            self.field_selectors.add(request.query.get("fieldSelector", ""))
            if "watch" in request.query:
                return await self._watch(kind, request)
            items = list(self._objects[kind].values())
            return web.json_response({"metadata": {"resourceVersion": str(self._version)}, "items": items})

        return handle

    async def _watch(self, kind: str, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._watches[kind].append(queue)
        for version, event in self._told[kind]:
            if version > since:
                queue.put_nowait(event)
        try:
            while True:
                await response.write(json.dumps(await queue.get()).encode() + b"\n")
        finally:
            self._watches[kind].remove(queue)


@asynccontextmanager
async def api_server(namespace: str = "ns") -> AsyncIterator[tuple[FakeApi, Client]]:
    api = FakeApi()
    async with (
        TestServer(api.app(namespace), host="127.0.0.1") as http,
        Client(Server(f"http://127.0.0.1:{http.port}")) as client,
    ):
        yield api, client
