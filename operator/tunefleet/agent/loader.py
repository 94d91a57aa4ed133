"""Loading one adapter into one engine start, and measuring it. All calls to the engine's admin routes are made here."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError, LoadFault, classify_load_error
from tunefleet.engine.fingerprint import Figures

from .ballast import NoBallast
from .engine_watch import EngineStart, EngineWatch
from .registry import Registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Load:
    """An adapter that the engine answers with."""

    seconds: float
    """From the call to the answer, the measurement included."""
    figures: Figures


@dataclass(frozen=True)
class _Unloaded:
    started: float
    """The engine start."""
    at: float
    """By the monotonic clock."""


class Loader:
    """Loads, measures and unloads under engine names; knows what this pod's agents loaded in which engine start."""

    def __init__(self, watch: EngineWatch, registry: Registry, ballast: NoBallast, busy_poll: float) -> None:
        """`busy_poll`: seconds between two looks at the engine's metrics, and long enough for a request that it has
        taken to stand in them."""
        self._watch = watch
        self._engine: EngineClient = watch.client
        self._registry = registry
        self._ballast = ballast
        self._busy_poll = busy_poll
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._loading: set[asyncio.Task[None]] = set()
        self._lingering: dict[str, _Unloaded] = {}

    async def load(self, start: EngineStart, name: str, path: Path) -> Load:
        """Make the engine answer under the name with the files at the path, and measure what it answers.

        Raises EngineError. A name that another hand loaded is unloaded first: nobody knows its bytes. A call that is
        cancelled finishes the load all the same, so that the registry never knows less than the engine.
        """
        began = time.monotonic()
        await self._wait_until_quiet(start, name)
        task = asyncio.create_task(self._ensure(start, name, path))
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)
        await asyncio.shield(task)
        figures = await self._measure(start, name)
        return Load(round(time.monotonic() - began, 4), figures)

    async def withdraw(self, start: EngineStart, name: str) -> None:
        """Unload at once: no new request may reach these weights. Those that run keep them. Raises EngineError."""
        async with self._one_at_a_time[name]:
            if self._registry.holds(start, name):
                await self._forget(start, name)

    async def referring(self) -> frozenset[str]:
        """Names whose files the engine may still read: those it holds, and those that requests from before they were
        unloaded may still use. An engine that cannot be asked may read all of them."""
        if start := self._watch.current:
            for name in list(self._lingering):
                with contextlib.suppress(EngineError):
                    await self._is_quiet(start, name)
        return self._registry.names | self._lingering.keys()

    def holds(self, start: EngineStart | None, name: str) -> bool:
        """Whether the engine that is up has the adapter from an agent of this pod."""
        return start is not None and self._registry.holds(start, name)

    def may_hold(self, name: str) -> bool:
        """Whether some engine start has or had it, or is about to."""
        return self._registry.remembers(name) or self._one_at_a_time[name].locked()

    async def unload_when_idle(self, name: str) -> None:
        """Unload an adapter as soon as no request uses it, or forget it when its engine start is over.

        Not before: should it come back while an old request still runs, the engine would hold two adapters of one
        name, and dies of it.
        """
        while self.may_hold(name):
            start = await self._watch.up()
            try:
                async with self._one_at_a_time[name]:
                    if await self._try_unload(start, name):
                        return
            except EngineError as error:
                logger.info("cannot unload %s yet: %s", name, error)
                self._watch.look_now()
            await asyncio.sleep(self._busy_poll)

    async def unload_strays(self, start: EngineStart, keep: Callable[[], Iterable[str]]) -> None:
        """Unload what the engine holds and nobody asked for, such as what left the set while no agent ran."""
        strays = (await self._engine.models()).keys() - set(keep()) - self._ballast.names - {self._watch.base_name}
        for name in sorted(strays):
            logger.info("%s is loaded and not asked for", name)
            self._registry.add(start, name)
            await self.unload_when_idle(name)

    async def _ensure(self, start: EngineStart, name: str, path: Path) -> None:
        async with self._one_at_a_time[name]:
            if not self._registry.holds(start, name):
                await self._ballast.touch()
                await self._load(name, path)
                self._registry.add(start, name)

    async def _try_unload(self, start: EngineStart, name: str) -> bool:
        if self._registry.holds(start, name):
            if name in await self._engine.busy():
                return False
            await self._forget(start, name)
        self._registry.remove(name)
        return True

    async def _forget(self, start: EngineStart, name: str) -> None:
        self._lingering[name] = _Unloaded(start.started, time.monotonic())
        await self._engine.unload(name)
        self._registry.remove(name)
        logger.info("unloaded %s", name)

    async def _wait_until_quiet(self, start: EngineStart, name: str) -> None:
        """Two adapters of one name in one engine end it; a request from before the unloading still has the former."""
        while not self._registry.holds(start, name):
            if await self._is_quiet(start, name):
                return
            await asyncio.sleep(self._busy_poll)

    async def _is_quiet(self, start: EngineStart, name: str) -> bool:
        """No request of this engine start is left from before the adapter was unloaded. The engine's metrics may not
        have one yet that it took in the last moment."""
        unloaded = self._lingering.get(name)
        if unloaded and unloaded.started == start.started:
            young = time.monotonic() - unloaded.at < self._busy_poll
            if young or not await self._engine.quiet(name):
                return False
        self._lingering.pop(name, None)
        return True

    async def _load(self, name: str, path: Path) -> None:
        try:
            await self._engine.load(name, str(path))
        except EngineError as error:
            if classify_load_error(error) is not LoadFault.ALREADY_LOADED:
                raise
            logger.warning("%s was loaded by another hand; loading it again", name)
            await self._engine.unload(name)
            await self._engine.load(name, str(path))
        logger.info("loaded %s", name)

    async def _measure(self, start: EngineStart, name: str) -> Figures:
        """An adapter that cannot answer must not stay; an engine that cannot is looked at."""
        try:
            return await self._engine.figures(name)
        except EngineError as error:
            self._watch.look_now()
            if error.status == 404:  # another hand unloaded it, or this is another engine already
                self._registry.remove(name)
                raise EngineError(0, "the engine no longer knows the adapter") from error
            if classify_load_error(error) is LoadFault.ADAPTER and self._watch.current == start:
                await self._forget(start, name)
            raise
