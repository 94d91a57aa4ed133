"""Everything that is compared, running side by side: ours, the peers that could be had, and no proxy at all."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dev import settings
from dev.steps import skipped, step
from tunefleet.api.names import ENGINE_PORT

from . import objects, ours
from .bodies import Files, models_used, write_all
from .control_plane import control_plane
from .native import Load, program, send
from .peers import ABSENT, PEERS, Peer, Setting
from .processes import Command, Cores, Running, free_port, running, subfolder, until

OURS = "ours"
MODELS = 2000
TENANTS = 100
ENGINES = ("127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4")
"""Addresses of the loopback network stand for pods; one process answers on all."""


@dataclass(frozen=True)
class Contender:
    """One of them, ready."""

    name: str
    version: str
    process: Running
    port: int
    slow: bool = False


@dataclass
class Field:
    """All of them."""

    cores: Cores
    files: Files
    contenders: list[Contender] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Why a peer is not there, by name."""
    engine: Running | None = None


@asynccontextmanager
async def everybody(folder: Path, cores: Cores, code: Path, only: Sequence[str]) -> AsyncIterator[Field]:
    """Start all (or those that `only` names), and see that each answers."""
    tenants = objects.tenants(TENANTS)
    found = Field(cores, write_all(folder, MODELS, tenants))
    async with AsyncExitStack() as stack:
        found.engine = await stack.enter_async_context(engine(folder, cores))
        if wanted(OURS, only):
            gateway = await stack.enter_async_context(fleet(folder, cores, code, tenants))
            answers = partial(_answers, found.files.plain, gateway.port, cores)
            await until(answers, "an answer of ours", gateway.process, gateway.log, 10)
            found.contenders.append(Contender(OURS, ours.version(code), gateway.process, gateway.port))
        for peer in PEERS:
            if wanted(peer.name, only):
                await _add(found, peer, subfolder(folder, peer.name), stack)
        yield found


def wanted(name: str, only: Sequence[str]) -> bool:
    """Whether it shall run."""
    return not only or name in only


@asynccontextmanager
async def engine(folder: Path, cores: Cores) -> AsyncIterator[Running]:
    """The engine behind all of them, on every address."""
    log = folder / "engine.log"
    command = Command.of(program("upstream"), str(ENGINE_PORT), *ENGINES)
    async with running(command, log, cores.others) as process:
        files = folder / "plain"
        await until(lambda: _answers(files, ENGINE_PORT, cores, ENGINES[0]), "an answer of the engine", process, log, 5)
        yield process


@asynccontextmanager
async def fleet(
    folder: Path, cores: Cores, code: Path, tenants: Sequence[objects.Tenant]
) -> AsyncIterator[ours.Gateway]:
    """Our gateway before MODELS adapters, an equal part of them on each engine, and a key of each tenant."""
    held = [[(number, 1) for number in range(n, MODELS, len(ENGINES))] for n in range(len(ENGINES))]
    async with control_plane(ENGINES, held) as plane:
        for kind, obj in objects.fleet(MODELS, tenants, ENGINES):
            plane.api.put(kind, obj)
        with step(f"start ours with {MODELS} models and {TENANTS} keys, code in {code}"):
            async with AsyncExitStack() as stack:
                gateway = await stack.enter_async_context(
                    ours.gateway(plane, subfolder(folder, OURS), [cores.measured], code)
                )
                rest = stack.pop_all()
        async with rest:
            yield gateway


async def _add(found: Field, peer: Peer, folder: Path, stack: AsyncExitStack) -> None:
    port, log = free_port(), folder / "log"
    engines = [f"{address}:{ENGINE_PORT}" for address in ENGINES]
    setting = Setting(folder, settings.cache_directory(), port, engines, models_used(MODELS))
    try:
        command, version = peer.prepare(setting), peer.version()
        with step(f"start {peer.name} {version}"):
            process = await stack.enter_async_context(running(command, log, [found.cores.measured]))
            await until(lambda: _answers(found.files.plain, port, found.cores), "its first answer", process, log)
    except (*ABSENT, RuntimeError) as error:
        found.absent[peer.name] = str(error)
        skipped(peer.name, "left out")
        return
    found.contenders.append(Contender(peer.name, version, process, port, peer.slow))


async def _answers(requests: Path, port: int, cores: Cores, address: str = "127.0.0.1") -> bool:
    try:
        outcome = await send(Load(requests, 1), port, 0.2, cores.others, address)
    except RuntimeError:
        return False
    return outcome.ok > 0 and not outcome.faults
