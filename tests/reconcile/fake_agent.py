"""An agent that speaks the adapters API; the engine beside it is imagined."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tunefleet.api.names import AGENT_PORT

ADAPTER = {
    "rank": 8,
    "ranks": [8],
    "configuredRank": 8,
    "configuredRanks": [8],
    "targetModules": ["q_proj"],
    "modules": {"model.layers.*.self_attn.q_proj": [64, 64]},
    "layers": 2,
    "tensors": 4,
}


class Agent:
    """Speaks the agents' API; loads at once whatever it is told to hold."""

    def __init__(self, engine_name: str, *, refuse: int | None = None) -> None:
        """`refuse`: the HTTP status of every answer to an order."""
        self.held: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.inspected: list[str] = []
        self.puts = 0
        self._engine_name = engine_name
        self._refuse = refuse
        self._changed = asyncio.Condition()
        self._number = 1

    @property
    def report(self) -> dict[str, Any]:
        """The answer to GET and PUT."""
        adapters = [
            {"engineName": held["engineName"], "uri": held["uri"], "digest": held["digest"], "state": "Loaded"}
            for held in self.held
        ]
        engine = {"name": self._engine_name, "ready": True, "slots": 8, "maxRank": 16, "device": "cpu", "starts": 1}
        return {"etag": f"boot-{self._number}", "engine": engine, "adapters": adapters}

    async def load(self, engine_name: str) -> None:
        """Something else changed."""
        await self._hold([{"engineName": engine_name, "uri": "pvc://models/x", "digest": "sha256:" + "cd" * 32}])

    async def get(self, request: web.Request) -> web.Response:
        """The long poll."""
        self.tokens.add(request.headers["Authorization"])
        async with self._changed:
            try:
                async with asyncio.timeout(30):
                    await self._changed.wait_for(lambda: request.query.get("after") != self.report["etag"])
            except TimeoutError:
                pass
        return web.json_response(self.report)

    async def put(self, request: web.Request) -> web.Response:
        """Takes the desired set."""
        self.tokens.add(request.headers["Authorization"])
        self.puts += 1
        if self._refuse:
            return web.Response(status=self._refuse)
        await self._hold((await request.json())["adapters"])
        return web.json_response(self.report, status=202)

    async def _hold(self, adapters: list[dict[str, Any]]) -> None:
        async with self._changed:
            self.held = adapters
            self._number += 1
            self._changed.notify_all()

    async def inspect(self, request: web.Request) -> web.Response:
        """Every adapter is good, and each has bytes of its own."""
        uri = (await request.json())["uri"]
        self.inspected.append(uri)
        digest = f"sha256:{abs(hash(uri)) % 16**64:064x}"
        answer = {"kind": "adapter", "resolvedUri": uri, "digest": digest, "sizeBytes": 10, "adapter": ADAPTER}
        return web.json_response(answer)


@asynccontextmanager
async def serving(agent: Agent, address: str, port: int = AGENT_PORT) -> AsyncIterator[None]:
    """The agent listens on a loopback address while the block runs."""
    app = web.Application()
    app.add_routes([web.get("/v1/adapters", agent.get), web.put("/v1/adapters", agent.put)])
    app.add_routes([web.post("/v1/inspections", agent.inspect)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield
    finally:
        await runner.cleanup()
