"""Wires the parts together and runs them until told to stop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tunefleet.api.base_model import Architecture
from tunefleet.artifacts.base import read_base
from tunefleet.artifacts.fetch import files_that_count
from tunefleet.artifacts.pvc import PvcSource
from tunefleet.engine.adapters_api import DesiredAdapter, EngineReport
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError
from tunefleet.plan.gate import Limits

from .ballast import Ballast, NoBallast
from .board import Board
from .engine_watch import EngineWatch
from .holder import Holder
from .kubernetes_secrets import SecretReader
from .library import Library
from .loader import Loader
from .readiness import Readiness
from .registry import Registry
from .server import Agent
from .settings import AgentSettings
from .slots import Slots
from .worker import AdapterWorker

logger = logging.getLogger(__name__)

DESIRED = "desired.json"
REGISTRY = "loaded.json"
BALLAST = "ballast"


@asynccontextmanager
async def running_agent(
    settings: AgentSettings, session: aiohttp.ClientSession, secrets: SecretReader
) -> AsyncIterator[Agent]:
    """An agent whose loops run while the context is open. Raises ArtifactError when the base cannot be read."""
    base = await _read_base(settings)
    board = Board(_engine_report(settings))
    engine = EngineClient(session, settings.engine_url, settings.engine_key)
    ballast = _ballast(settings, engine, base)
    watch = EngineWatch(engine, board, settings.timing, ballast.fill)
    library = Library(settings.root, settings.mount_root, secrets, base, Limits(settings.max_rank))
    loader = Loader(watch, Registry(settings.root / REGISTRY), ballast, settings.timing.poll)
    slots = Slots(settings.capacity)

    def make_worker(desired: DesiredAdapter) -> AdapterWorker:
        return AdapterWorker(
            desired, board=board, watch=watch, library=library, loader=loader, slots=slots, timing=settings.timing
        )

    holder = Holder(settings.root / DESIRED, make_worker, lambda name: loader.holds(watch.current, name))
    readiness = Readiness(lambda: (adapter.engine_name for adapter in holder.desired))
    loops = [
        asyncio.create_task(watch.run()),
        asyncio.create_task(_sweep(watch, loader, holder, settings.timing.poll)),
    ]
    try:
        await holder.restore()
        logger.info(
            "beside %s with %d slots; %d adapters desired", base.class_name, settings.slots, len(holder.desired)
        )
        yield Agent(settings, board, holder, library, readiness, tuple(loops))
    finally:
        await board.close()
        await holder.close()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def _sweep(watch: EngineWatch, loader: Loader, holder: Holder, pause: float) -> None:
    """After every engine start, and every start of the agent: nothing is loaded that nobody asked for."""
    await holder.known.wait()
    while True:
        start = await watch.up()
        try:
            await loader.unload_strays(start, lambda: holder.names)
        except EngineError as error:
            logger.warning("cannot tell what the engine holds: %s", error)
            watch.look_now()
            await asyncio.sleep(pause)
        else:
            await watch.gone(start)


async def _read_base(settings: AgentSettings) -> Architecture:
    path = settings.base_path
    source = PvcSource(str(path), path.parent, path)
    return await read_base(source, await files_that_count(source, "base"))


def _ballast(settings: AgentSettings, engine: EngineClient, base: Architecture) -> NoBallast:
    if settings.device == "cpu" and any("*" in module for module in base.modules):
        return Ballast(engine, settings.root / BALLAST, settings.slots, base.modules)
    return NoBallast()


def _engine_report(settings: AgentSettings) -> EngineReport:
    return EngineReport(
        name=settings.base_engine_name,
        ready=False,
        slots=settings.slots,
        max_rank=settings.max_rank,
        device=settings.device,
    )
