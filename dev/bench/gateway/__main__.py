"""`python -m dev.bench.gateway`: what the gateway costs, beside nginx, haproxy, vllm-router and litellm.

All run on this machine at the same time, each with one worker on a core of its own, and take turns under the same load
before the same engine, a program that answers like vLLM in microseconds. Ours is the process that users run, with
every feature on: 2,000 models on four engines, 100 keys with limits, counters, an audit line a request. Its control
plane is an API server in memory. docs/how-to/benchmark-the-gateway.md says how each figure comes about.
About ten minutes; --quick takes two.
"""

import asyncio
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from dev.bench.figures import write_figures
from dev.locks import alone
from dev.steps import reported

from . import ours
from .contenders import OURS, everybody
from .measure import Effort, latencies, memory, samples
from .peers import PEERS
from .processes import allow_many_files, cores, folder, go_first
from .report import figures_of, show

FULL = Effort(rounds=5, seconds=1.8, latency_rounds=10, latency_seconds=2.0)
QUICK = Effort(rounds=2, seconds=0.8, latency_rounds=3, latency_seconds=1.0)
NAMES = (OURS, *(peer.name for peer in PEERS))


async def measure(effort: Effort, code: Path, only: tuple[str, ...], console: Console) -> dict[str, Any]:
    """Start all, load all, stop all."""
    async with everybody(folder("gateway"), cores(), code, only) as field:
        taken = await samples(field, effort, console)
        late = await latencies(field, effort, console)
        return figures_of(field, taken, late, await memory(field, console))


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Two short rounds.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Measure this one; repeat for more.")
@click.option("--code", type=click.Path(exists=True, path_type=Path), help="Import `tunefleet` from this directory.")
def main(quick: bool, only: tuple[str, ...], code: Path | None) -> None:
    """Measure, show, write."""
    console = Console()
    allow_many_files()
    console.print(f"niceness of all: {go_first()}", highlight=False)
    with reported(), alone(folder("gateway") / "lock", "another benchmark of the gateway runs"):
        figures = asyncio.run(measure(QUICK if quick else FULL, (code or ours.code()).absolute(), only, console))
    show(figures, console)
    console.print(f"written: {write_figures('gateway', figures)}")


if __name__ == "__main__":
    main()
