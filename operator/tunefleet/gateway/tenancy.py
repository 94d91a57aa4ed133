"""Keys and limits of one process, wired: where they come from, what is told of them, and when they are complete."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from tunefleet.kube.client import Client

from . import names
from .access import Access
from .key_source import KeySource
from .shared_limits import USAGE_PATH, SharedLimits
from .state import GatewayState


@dataclass(frozen=True)
class KeySettings:
    """Where keys and other gateways are looked for."""

    namespace: str
    """Of the Secrets with the keys."""
    peers_namespace: str | None = None
    """Of the gateway pods that limits are shared with; None: they count for this process alone."""


class Tenancy:
    """Nothing but an open door without `settings`."""

    def __init__(self, client: Client, state: GatewayState, settings: KeySettings | None, admin_port: int) -> None:
        """`state.access` is kept in step with the Secrets."""
        self._source: KeySource | None = None
        self._shared: SharedLimits | None = None
        self._complete = asyncio.Event()
        if settings is None:
            self._complete.set()
            return
        access, telemetry = state.access, state.telemetry
        source = self._source = KeySource(client, access, settings.namespace, state.clock, lambda: datetime.now(UTC))
        source.on_replaced = lambda: telemetry.keep_tenants(frozenset(source.names))
        state.metrics.add(names.KEYS, lambda: [((), access.key_count)])
        state.metrics.add(names.KEYS_BAD, lambda: [((), source.unreadable)])
        if settings.peers_namespace is not None:
            self._shared = SharedLimits(client, access, settings.peers_namespace, admin_port, state.clock)

    async def complete(self) -> None:
        """Wait until every key was read once."""
        await (self._complete if self._source is None else self._source.complete).wait()

    async def run(self) -> None:
        """Follow the Secrets and the other gateways until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self._source, self._shared):
                if part is not None:
                    group.create_task(part.run())

    def serve(self, app: web.Application) -> None:
        """Add USAGE_PATH to the admin port."""
        app.router.add_get(USAGE_PATH, self._usage)

    async def _usage(self, _request: web.Request) -> web.Response:
        if self._shared is None:
            return web.json_response({"processes": []})
        return web.json_response(self._shared.report().dump())


def access_for(settings: KeySettings | None) -> Access:
    """Which nobody passes yet; or an open one, without settings."""
    return Access(keys=settings is not None)
