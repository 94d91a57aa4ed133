"""Is the engine up, and is it still the one that holds our adapters?

An engine start is known by the start time of its process. Another start has an empty registry, whatever the former one
held. An engine counts as up only when the base has answered a completion: /health says nothing about that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError
from tunefleet.engine.fingerprint import Reference

from .board import Board
from .settings import Timing

logger = logging.getLogger(__name__)

FAILURES_UNTIL_LOST = 3
"""A busy API process may miss one answer; a dead one misses all."""


Prepare = Callable[[], Awaitable[Reference]]
"""What makes an engine that listens one that counts as up: proves that its base answers; raises EngineError."""


@dataclass(frozen=True)
class EngineStart:
    """A time during which one run of the engine's process answered."""

    started: float
    """Seconds since the epoch, by the engine's own metric: the run."""
    serial: int
    """Parts two times of one run, should it have been lost from sight in between."""
    reference: Reference
    """What its base answered."""


class EngineWatch:
    """Looks at the engine again and again, and lets workers wait for it to come and to go."""

    def __init__(self, client: EngineClient, board: Board, timing: Timing, prepare: Prepare) -> None:
        self.client = client
        self._prepare = prepare
        self._board = board
        self._timing = timing
        self._current: EngineStart | None = None
        self._seen: float | None = None
        self._failures = 0
        self._serial = 0
        self._changed = asyncio.Condition()
        self._look_now = asyncio.Event()

    @property
    def base_name(self) -> str:
        """Engine name of the base."""
        return self._board.engine.name

    @property
    def current(self) -> EngineStart | None:
        """The engine start that answers completions now."""
        return self._current

    async def up(self) -> EngineStart:
        """Wait until an engine answers completions."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._current is not None)
            assert self._current is not None
            return self._current

    async def gone(self, start: EngineStart) -> None:
        """Wait until this engine start is over."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._current != start)

    def look_now(self) -> None:
        """A call failed: do not wait for the next look."""
        self._look_now.set()

    async def run(self) -> None:
        """Look at the engine until cancelled."""
        while True:
            try:
                await self._look()
                self._failures = 0
            except EngineError as error:
                self._failures += 1
                if self._failures >= FAILURES_UNTIL_LOST or self._current is None:
                    await self._lose(error)
            await self._pause()

    async def _look(self) -> None:
        started = await self.client.start_time()
        if started != self._seen:
            if self._current is not None:
                await self._lose(EngineError(0, "the engine restarted"))
            self._seen = started
            await self._board.set_engine(starts=self._board.engine.starts + 1)
            logger.info("engine start %d seen", self._board.engine.starts)
        if self._current is None:
            await self._prove(started)

    async def _prove(self, started: float) -> None:
        reference = await self._prepare()
        version = await self.client.version()
        if await self.client.start_time() != started:
            raise EngineError(0, "the engine restarted")
        await self._board.set_engine(ready=True, version=version, kind=reference.kind, message="")
        self._serial += 1
        await self._set(EngineStart(started, self._serial, reference))
        logger.info("engine answers completions")

    async def _lose(self, error: EngineError) -> None:
        if self._current is not None:
            logger.warning("engine lost: %s", error)
        await self._board.set_engine(ready=False, message=f"Waiting for the engine: {error}"[:1024])
        await self._set(None)

    async def _set(self, start: EngineStart | None) -> None:
        self._current = start
        async with self._changed:
            self._changed.notify_all()

    async def _pause(self) -> None:
        healthy = self._current is not None and self._failures == 0
        try:
            async with asyncio.timeout(self._timing.poll if healthy else self._timing.poll_lost):
                await self._look_now.wait()
        except TimeoutError:
            return
        finally:
            self._look_now.clear()
