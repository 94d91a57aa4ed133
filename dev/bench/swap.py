"""`python -m dev.bench.swap`: promotions, roll-backs, new adapters and kills, on the real vLLM, under load.

The load is 20 requests/s to two adapters in turn, german, which changes, and formal, which stays, and 8 long streams on
the one that changes: more would saturate two cores.
Every answer comes with its tokens' log-probabilities, and is held against those that each version gave when it was
alone: an answer from other weights than may answer is wrong, whatever it says of itself. Takes the place of the
demo's objects. About eight minutes; --quick takes six, most of them for engines that start again after kills.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import click
from rich.console import Console

from . import applying, changing, fleet, recovery
from .figures import write_figures
from .fleet import Fleet
from .measured import Measured
from .report import figures_of, show
from .weights import check_separation


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    """Promotions, each rolled back."""
    adapters: int
    """New adapters, idle and again under load."""
    kills: int
    """Of the pod and of the engine each, with one replica; with two replicas one each."""


async def measure(served: Fleet, plan: Plan) -> Measured:
    """Everything in turn."""
    served.console.print("references: every version alone")
    measured = Measured(await fleet.take_references(served))
    check_separation(measured.references)
    await _new_adapters(served, plan, measured)
    await _changes(served, plan, measured)
    await _kills_of_the_only_engine(served, plan, measured)
    await _kills_of_one_of_two(served, measured)
    return measured


async def _new_adapters(served: Fleet, plan: Plan, measured: Measured) -> None:
    served.console.print(f"{plan.adapters} new adapters without other load, and {plan.adapters} under load")
    run = f"{datetime.now(UTC):%H%M%S}"
    uris = await asyncio.to_thread(applying.upload_variants, served, 2 * plan.adapters, run)
    probe, load = served.load(), served.load()
    for number, uri in enumerate(uris[: plan.adapters]):
        measured.applied_idle.append(await applying.apply_one(served, probe, f"new-{run}-{number}", uri))
    async with load.running(fleet.short_questions(), fleet.RATE, fleet.long_questions()):
        for number, uri in enumerate(uris[plan.adapters :], plan.adapters):
            measured.applied.append(await applying.apply_one(served, probe, f"new-{run}-{number}", uri))
    measured.changing += load.answers


async def _changes(served: Fleet, plan: Plan, measured: Measured) -> None:
    served.console.print(f"{plan.rounds} promotions, each rolled back")
    load = served.load()
    async with load.running(fleet.short_questions(), fleet.RATE, fleet.long_questions()):
        measured.changes += await changing.promote_and_roll_back(served, load, plan.rounds)
    measured.changing += load.answers


async def _kills_of_the_only_engine(served: Fleet, plan: Plan, measured: Measured) -> None:
    for number in range(plan.kills):
        served.console.print(f"kill {number + 1} of the only engine, then of its pod")
        load = served.load()
        async with load.running(fleet.short_questions(), recovery.RATE, fleet.long_questions()):
            measured.recoveries.append(await recovery.kill(served, load, "engine", 1))
            measured.recoveries.append(await recovery.kill(served, load, "pod", 1))
        measured.one_replica += load.answers


async def _kills_of_one_of_two(served: Fleet, measured: Measured) -> None:
    served.console.print("two replicas: kill one of two engines, then one of two pods")
    await recovery.scale(served, 2)
    load = served.load()
    async with load.running(fleet.short_questions(), recovery.RATE, fleet.long_questions()):
        measured.recoveries.append(await recovery.kill(served, load, "engine", 2))
        measured.recoveries.append(await recovery.kill(served, load, "pod", 2))
    measured.two_replicas += load.answers
    await recovery.scale(served, 1)


@click.command(help=__doc__)
@click.option("--rounds", default=100, show_default=True, type=click.IntRange(1, 1000), help="Of two changes each.")
@click.option("--adapters", default=30, show_default=True, type=click.IntRange(1, 200), help="New ones, twice.")
@click.option("--kills", default=2, show_default=True, type=click.IntRange(1, 10), help="Of the pod and of the engine.")
@click.option("--quick", is_flag=True, help="10 rounds, 5 adapters, 1 kill.")
def main(rounds: int, adapters: int, kills: int, quick: bool) -> None:
    """Measure, show, write."""
    from dev.demo.__main__ import cluster_shell, prepare, remove_former, story_of

    console = Console()
    shell = cluster_shell(None)
    prepare(shell, console, f"gateway.hold.seconds={recovery.PATIENCE:.0f}")
    remove_former(shell)
    served = fleet.fleet_of(shell, console, story_of(shell, console).gateway)
    fleet.apply(served)
    plan = Plan(10, 5, 1) if quick else Plan(rounds, adapters, kills)
    figures = figures_of(asyncio.run(measure(served, plan)))
    show(figures, console)
    console.print(f"written: {write_figures('swap', figures)}")


if __name__ == "__main__":
    main()
