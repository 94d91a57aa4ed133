"""An agent as the gateway sees it: GET /v1/adapters as a long poll, with a token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.engine.adapters_api import ADAPTERS_PATH
from tunefleet.plan.credentials import AGENT_READ_PURPOSE, derive

from .harness import BASE_ENGINE_NAME, FLEET_KEY


@dataclass
class FakeAgent:
    """Reports `loaded` (engine name to digest); `publish` after a change."""

    loaded: dict[str, str] = field(default_factory=dict)
    ready: bool = True
    base: str = BASE_ENGINE_NAME
    token: str = field(default_factory=lambda: derive(FLEET_KEY, AGENT_READ_PURPOSE, "ns", "endpoint"))
    asked: "asyncio.Queue[str | None]" = field(default_factory=asyncio.Queue)
    failing: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    _number: int = 1
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self) -> None:
        self._number += 1
        self.wake()

    def wake(self) -> None:
        """End the polls that wait."""
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def report(self) -> dict[str, Any]:
        adapters = [
            {"engineName": name, "uri": "pvc://a/b", "digest": digest, "state": "Loaded"}
            for name, digest in self.loaded.items()
        ]
        engine = {"name": self.base, "ready": self.ready, "slots": 8, "maxRank": 16}
        return {"etag": f"boot-{self._number}", "engine": engine, "adapters": adapters}

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.put_nowait(request.query.get("after"))
        if self.failing:
            return web.Response(status=500)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if request.query.get("after") == self.report["etag"]:
            await self._changed.wait()
        return web.json_response(self.report)


@asynccontextmanager
async def agent(host: str = "127.0.0.1", port: int | None = None, **fields: Any) -> AsyncIterator[FakeAgent]:
    made = FakeAgent(host=host, **fields)
    app = web.Application()
    app.router.add_get(ADAPTERS_PATH, made.handle)
    async with TestServer(app, host=host, port=port) as http:
        assert http.port is not None
        made.port = http.port
        yield made
        made.publish()  # lets a waiting poll end before the server does
