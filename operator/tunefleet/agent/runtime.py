"""Wires the parts together and runs them until told to stop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tunefleet.artifacts.errors import ArtifactError
from tunefleet.engine.adapters_api import DesiredAdapter, EngineReport
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError
from tunefleet.engine.fingerprint import Reference
from tunefleet.plan.gate import Limits

from .ballast import Ballast, NoBallast, Shapes
from .base_files import BaseFiles
from .board import Board
from .disk import Disk
from .effect import Effects, measure_reference
from .engine_watch import EngineWatch, Prepare
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
    """An agent whose loops run while the context is open. The base's files may come later."""
    board = Board(_engine_report(settings))
    base = BaseFiles(settings.base_path, board, settings.timing.poll_lost)
    engine = EngineClient(session, settings.engine_url, settings.engine_key)
    ballast = _ballast(settings, engine, base)
    watch = EngineWatch(engine, board, settings.timing, _prepare(settings, engine, ballast))
    loader = Loader(watch, Registry(settings.root / REGISTRY), ballast, settings.timing.poll)

    async def referred() -> frozenset[str]:
        return frozenset(name.rpartition("-")[2] for name in holder.names | await loader.referring())

    disk = Disk(settings.root, settings.disk_bytes, referred, settings.timing.fresh)
    library = Library(settings.root, settings.mount_root, secrets, base.architecture, Limits(settings.max_rank), disk)
    effects, slots = Effects(), Slots(settings.capacity)

    def make_worker(desired: DesiredAdapter) -> AdapterWorker:
        return AdapterWorker(
            desired,
            board=board,
            watch=watch,
            library=library,
            loader=loader,
            effects=effects,
            slots=slots,
            timing=settings.timing,
        )

    holder = Holder(settings.root / DESIRED, make_worker, lambda name: loader.holds(watch.current, name))
    readiness = Readiness(lambda: (adapter.engine_name for adapter in holder.desired))
    loops = [
        asyncio.create_task(base.run()),
        asyncio.create_task(_watch(base, watch)),
        asyncio.create_task(_sweep(watch, loader, holder, settings.timing.poll)),
    ]
    try:
        await holder.restore()
        logger.info("%d slots; %d adapters desired", settings.slots, len(holder.desired))
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


async def _watch(base: BaseFiles, watch: EngineWatch) -> None:
    """No engine comes up before the base is there."""
    try:
        await base.architecture()
    except ArtifactError:
        await asyncio.Event().wait()  # the board says so
    await watch.run()


def _prepare(settings: AgentSettings, engine: EngineClient, ballast: NoBallast) -> Prepare:
    async def prepare() -> Reference:
        reference = await measure_reference(
            engine, settings.base_engine_name, options=settings.engine_options, product=settings.product
        )
        await ballast.fill()
        return reference

    return prepare


def _ballast(settings: AgentSettings, engine: EngineClient, base: BaseFiles) -> NoBallast:
    async def modules() -> Shapes:
        return (await base.architecture()).modules

    return (
        Ballast(engine, settings.root / BALLAST, settings.slots, modules) if settings.device == "cpu" else NoBallast()
    )


def _engine_report(settings: AgentSettings) -> EngineReport:
    return EngineReport(
        name=settings.base_engine_name,
        ready=False,
        slots=settings.slots,
        max_rank=settings.max_rank,
        device=settings.device,
    )
