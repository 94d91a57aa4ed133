"""`python -m dev.bench.gateway.failures`: what clients and engines see of failures, behind ours and behind others.

Two engines that fail as each case says, a proxy that has just started, and one client that looks at every byte. All
proxies run with their defaults but for what dev/bench/gateway/peers.py says. About three minutes, most of them for
litellm's starts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from dev import settings
from dev.bench.figures import write_figures
from dev.locks import alone
from dev.steps import reported, skipped, step
from tunefleet.api.names import ENGINE_PORT

from . import objects, ours
from .cases import CASES, Case, Stage
from .contenders import OURS
from .control_plane import control_plane
from .objects import served_name
from .peers import ABSENT, PEERS, Peer, Setting
from .processes import cores, folder, free_port, running, subfolder, until

ADDRESSES = ("127.0.2.1", "127.0.2.2")
MODELS = 20
MEASURED = tuple(peer for peer in PEERS if peer.name not in ("haproxy", "asyncio splice"))
"""haproxy in the form that knows models; the splice is no proxy."""


async def measure(code: Path, only: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures by proxy and case, and why others were left out."""
    found: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for name, peer in [(OURS, None), *((peer.name, peer) for peer in MEASURED)]:
        if only and name not in only:
            continue
        try:
            with step(f"{len(CASES)} cases behind {name}"):
                found[name] = {case.name: await seen(case, peer, code) for case in CASES}
        except (*ABSENT, RuntimeError) as error:
            if peer is None:
                raise
            absent[name] = str(error)
            skipped(name, "left out")
    return found, absent


async def seen(case: Case, peer: Peer | None, code: Path) -> dict[str, Any]:
    """One case behind one proxy."""
    tenant = objects.tenants(1)[0]
    async with AsyncExitStack() as stack:
        engines = await stack.enter_async_context(scripted_engines(case))
        port = await stack.enter_async_context(_ours(code, tenant) if peer is None else _theirs(peer))
        for engine in engines:
            engine.received.clear()
        return await case.run(Stage(port, tenant.key, engines))


@asynccontextmanager
async def scripted_engines(case: Case) -> AsyncIterator[list[Any]]:
    """The engines of a case."""
    from .scripted import engines

    async with engines(ADDRESSES, ENGINE_PORT, case.scripts) as made:
        yield made


@asynccontextmanager
async def _ours(code: Path, tenant: objects.Tenant) -> AsyncIterator[int]:
    """Our gateway; every adapter is on both engines."""
    async with control_plane(ADDRESSES, [[(number, 1) for number in range(MODELS)]] * 2) as plane:
        for kind, obj in objects.fleet(MODELS, [tenant], ADDRESSES):
            plane.api.put(kind, obj)
        async with ours.gateway(plane, subfolder(folder("gateway-failures"), OURS), cores().others, code) as gateway:
            yield gateway.port


@asynccontextmanager
async def _theirs(peer: Peer) -> AsyncIterator[int]:
    place, port = subfolder(folder("gateway-failures"), peer.name), free_port()
    engines = [f"{address}:{ENGINE_PORT}" for address in ADDRESSES]
    names = [served_name(number) for number in range(MODELS)]
    command = peer.prepare(Setting(place, settings.cache_directory(), port, engines, names))
    log = place / "log"
    async with running(command, log, cores().others) as process:

        async def listens() -> bool:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True

        await until(listens, "its open port", process, log)
        yield port


def table_of(found: dict[str, Any]) -> Table:
    """For people: cases down, proxies across."""
    table = Table("", *found, title="What is seen of failures", title_justify="left", show_lines=True)
    for case in CASES:
        table.add_row(case.name, *(case.tell(figures[case.name]) for figures in found.values()))
    return table


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice([OURS, *(peer.name for peer in MEASURED)]))
@click.option("--code", type=click.Path(exists=True, path_type=Path), help="Import `tunefleet` from this directory.")
def main(only: tuple[str, ...], code: Path | None) -> None:
    """Measure, show, write."""
    console = Console()
    with reported(), alone(folder("gateway-failures") / "lock", "the failures of the gateway are being measured"):
        found, absent = asyncio.run(measure((code or ours.code()).absolute(), only))
    console.print(table_of(found))
    for name, why in absent.items():
        console.print(f"left out: {name}: {why}", markup=False)
    console.print(f"written: {write_figures('gateway-failures', {'seen': found, 'left_out': absent})}")


if __name__ == "__main__":
    main()
