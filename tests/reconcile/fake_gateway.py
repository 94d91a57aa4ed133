"""A gateway that tells what a test says, over the long poll that the operator knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tunefleet.plan.demand import DEMAND_PATH, DEMAND_PORT


class Gateway:
    """One gateway process."""

    def __init__(self, boot: str = "boot") -> None:
        self.asked = 0
        self._boot = boot
        self._number = 1
        self._adapters: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()

    @property
    def report(self) -> dict[str, Any]:
        """The answer."""
        since = "2026-01-01T00:00:00Z"
        return {"etag": f"{self._boot}-{self._number}", "since": since, "adapters": self._adapters}

    async def tell(self, *adapters: dict[str, Any]) -> None:
        """Something changed that cannot wait."""
        async with self._changed:
            self._adapters = list(adapters)
            self._number += 1
            self._changed.notify_all()

    async def get(self, request: web.Request) -> web.Response:
        """The long poll."""
        self.asked += 1
        async with self._changed:
            try:
                async with asyncio.timeout(10):
                    await self._changed.wait_for(lambda: request.query.get("after") != self.report["etag"])
            except TimeoutError:
                pass
        return web.json_response(self.report)


@asynccontextmanager
async def serving_demand(gateway: Gateway, address: str, port: int = DEMAND_PORT) -> AsyncIterator[None]:
    """The gateway's admin port listens on a loopback address while the block runs."""
    app = web.Application()
    app.add_routes([web.get(DEMAND_PATH, gateway.get)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield
    finally:
        await runner.cleanup()
