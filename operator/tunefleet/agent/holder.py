"""The desired set: one worker an adapter, kept on the disk, so that an operator that is down changes nothing."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ValidationError

from tunefleet.engine.adapters_api import AdaptersRequest, DesiredAdapter

from .files import write_atomically
from .worker import AdapterWorker

logger = logging.getLogger(__name__)

MakeWorker = Callable[[DesiredAdapter], AdapterWorker]


class Holder:
    """Starts, replaces and drains workers so that they match the desired set."""

    def __init__(self, path: Path, make_worker: MakeWorker, is_loaded: Callable[[str], bool]) -> None:
        self._path = path
        self._make_worker = make_worker
        self._is_loaded = is_loaded
        self._workers: dict[str, AdapterWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._draining: set[str] = set()
        self._applying = asyncio.Lock()
        self.known = asyncio.Event()
        """Set once there is a desired set, from the disk or from the operator: before, nothing may be unloaded."""

    @property
    def desired(self) -> tuple[DesiredAdapter, ...]:
        """The desired set, in the order of its names."""
        names = sorted(self._workers.keys() - self._draining)
        return tuple(self._workers[name].desired for name in names)

    @property
    def names(self) -> frozenset[str]:
        """Engine names that some worker cares for, those that are being unloaded included."""
        return frozenset(self._workers)

    async def restore(self) -> None:
        """Take up the set of the disk, after a start of the agent."""
        if (desired := _read(self._path)) is not None:
            await self._match(desired)

    async def apply(self, desired: tuple[DesiredAdapter, ...]) -> None:
        """Make this the desired set: on the disk first, then in the workers. Idempotent; one call after another."""
        async with self._applying:
            if desired_set(desired) != desired_set(self.desired):
                text = json.dumps(AdaptersRequest(adapters=desired).dump())
                await asyncio.to_thread(write_atomically, self._path, text)
            await self._match(desired)

    async def close(self) -> None:
        """Stop all workers; the engine keeps what it has."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _match(self, desired: tuple[DesiredAdapter, ...]) -> None:
        wanted = {adapter.engine_name: adapter for adapter in desired}
        for name in list(self._workers.keys() - wanted.keys() - self._draining):
            await self._retire(name)
        for name, adapter in sorted(wanted.items()):
            await self._want(name, adapter)
        self.known.set()

    async def _want(self, name: str, adapter: DesiredAdapter) -> None:
        worker = self._workers.get(name)
        if worker is not None and name not in self._draining:
            if worker.desired == adapter:
                return
            if worker.desired.digest == adapter.digest and (self._is_loaded(name) or _same_source(worker, adapter)):
                await worker.tell(adapter)
                return
        await self._stop(name)
        self._draining.discard(name)
        self._workers[name] = worker = self._make_worker(adapter)
        self._tasks[name] = asyncio.create_task(worker.run(), name=f"adapter {name}")

    async def _retire(self, name: str) -> None:
        await self._stop(name)
        self._draining.add(name)
        self._tasks[name] = asyncio.create_task(self._drain(name), name=f"drain {name}")

    async def _drain(self, name: str) -> None:
        await self._workers[name].drain()
        self._draining.discard(name)
        del self._workers[name], self._tasks[name]
        logger.info("let go of %s", name)

    async def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def desired_set(adapters: Iterable[DesiredAdapter]) -> frozenset[DesiredAdapter]:
    """A set to compare with: order says nothing."""
    return frozenset(adapters)


def _same_source(worker: AdapterWorker, adapter: DesiredAdapter) -> bool:
    """Nothing that could mend a failed one has changed: new records alone are no reason to load it again."""
    return worker.desired.model_copy(update={"fingerprints": adapter.fingerprints}) == adapter


def _read(path: Path) -> tuple[DesiredAdapter, ...] | None:
    try:
        return AdaptersRequest.read(json.loads(path.read_text())).adapters
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError):
        logger.exception("the desired set on the disk cannot be read; waiting for the operator")
        return None
