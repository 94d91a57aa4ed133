"""What the agent knows, for all who ask: one report under one etag, and waiting for the next."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, EngineReport


class Board:
    """The current report. Every change makes a new etag and wakes those who wait; equal writes change nothing."""

    def __init__(self, engine: EngineReport) -> None:
        self._boot = secrets.token_hex(4)
        self._changes = 0
        self._changed = asyncio.Condition()
        self._engine = engine
        self._adapters: dict[str, AdapterReport] = {}
        self._message = ""
        self._closed = False

    @property
    def engine(self) -> EngineReport:
        """The engine's part."""
        return self._engine

    def adapter(self, name: str) -> AdapterReport | None:
        """One adapter's part."""
        return self._adapters.get(name)

    @property
    def report(self) -> AdaptersReport:
        """The whole report."""
        order = sorted(self._adapters.values(), key=lambda a: (a.state is AdapterState.DRAINING, a.engine_name))
        return AdaptersReport(
            etag=f"{self._boot}-{self._changes}", engine=self._engine, adapters=tuple(order), message=self._message
        )

    async def set_engine(self, **changes: Any) -> None:
        """Change fields of the engine's part, and the message about the pod when `message` is given.

        Without an engine nothing is loaded: in the same change its adapters go back to Loading.
        """
        message = changes.pop("message", self._message)
        engine = self._engine.model_copy(update=changes)
        if (engine, message) != (self._engine, self._message):
            self._engine, self._message = engine, message
            if not engine.ready:
                self._adapters = {name: _unloaded(adapter) for name, adapter in self._adapters.items()}
            await self._tell()

    async def set_adapter(self, report: AdapterReport) -> None:
        """Put one adapter's part."""
        if self._adapters.get(report.engine_name) != report:
            self._adapters[report.engine_name] = report
            await self._tell()

    async def remove_adapter(self, name: str) -> None:
        """Take one adapter's part away."""
        if self._adapters.pop(name, None) is not None:
            await self._tell()

    async def wait_for(self, holds: Callable[[AdaptersReport], bool]) -> AdaptersReport:
        """The first report for which this holds; the current one when the agent stops."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or holds(self.report))
            return self.report

    async def changed_since(self, etag: str, seconds: float) -> AdaptersReport:
        """The report: at once when it has another etag, else when it changes or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                return await self.wait_for(lambda report: report.etag != etag)
        except TimeoutError:
            return self.report

    async def close(self) -> None:
        """Let everybody go who waits: the agent stops."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()

    async def _tell(self) -> None:
        self._changes += 1
        async with self._changed:
            self._changed.notify_all()


def _unloaded(adapter: AdapterReport) -> AdapterReport:
    if adapter.state is not AdapterState.LOADED:
        return adapter
    waiting = {"state": AdapterState.LOADING, "message": "Waiting for the engine to come back."}
    return adapter.model_copy(update=waiting)
