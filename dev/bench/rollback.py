"""`python -m dev.bench.rollback`: promote and roll back again and again, under 20 requests/s and 4 long streams.

Needs the objects that `make demo` leaves. A change is timed from the start of the API call that patches
`spec.activeVersion` to the end of the first answer of the version that was asked for.
"""

import asyncio
from pathlib import Path

import click
from kubernetes import client, config
from rich.console import Console
from rich.table import Table

from dev.demo.load import Answer, Load, Question
from dev.demo.prepare import NAMESPACE
from dev.demo.scenario import BAD, GOOD, LONG, LONG_TOKENS, RATE, SHORT, Story
from dev.demo.verdict import came_late, judge

from .figures import percentile, write_figures

STREAMED = ("german", "german", "formal", "pirate")


def patcher(kubeconfig: Path) -> client.CustomObjectsApi:
    """A client that patches without the start of a kubectl process."""
    return client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))


def patch_active(api: client.CustomObjectsApi, version: int) -> None:
    """What `kubectl patch loraadapter german --type merge` sends."""
    api.patch_namespaced_custom_object(
        "tunefleet.io", "v1alpha1", NAMESPACE, "loraadapters", "german", {"spec": {"activeVersion": version}}
    )


async def timed_change(load: Load, api: client.CustomObjectsApi, version: int, name: str) -> tuple[float, list[Answer]]:
    """Seconds from the patch to the first answer of this version, and answers of another one that came later."""
    started = load.clock()
    patch = asyncio.create_task(asyncio.to_thread(patch_active, api, version))
    first = await asyncio.wait_for(load.first(lambda a: a.version == name and a.started > started), 60)
    await patch
    later = load.clock()
    settled = await load.first(lambda a: a.question.model == "german" and a.started > later)
    return first.ended - started, came_late([settled, *load.answers[-20:]], name, first.ended)


async def measure(story: Story, kubeconfig: Path, rounds: int) -> dict[str, float | int]:
    """Promote and roll back `rounds` times under load."""
    load, api = story.load(), patcher(kubeconfig)
    up, back, late = list[float](), list[float](), 0
    short = [Question(m, SHORT) for m in STREAMED]
    async with load.running(short, RATE, [Question(m, LONG, LONG_TOKENS) for m in STREAMED]):
        for _ in range(rounds):
            for times, version, name in ((up, 2, BAD), (back, 1, GOOD)):
                seconds, stale = await timed_change(load, api, version, name)
                times.append(seconds)
                late += len(stale)
    verdict = judge(load.answers, story.expected)
    return {
        "rounds": rounds,
        "rollback_p50_seconds": percentile(back, 50),
        "rollback_p99_seconds": percentile(back, 99),
        "rollback_max_seconds": max(back),
        "promotion_p50_seconds": percentile(up, 50),
        "promotion_p99_seconds": percentile(up, 99),
        **verdict.as_dict(),
        "wrong": verdict.wrong + late,
    }


def show(figures: dict[str, float | int], console: Console) -> None:
    """Print a table."""
    table = Table(title="Promotions and roll-backs under load", title_justify="left", show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
    console.print(table)


@click.command(help=__doc__)
@click.option("--rounds", default=20, show_default=True, type=click.IntRange(1, 500))
def main(rounds: int) -> None:
    """Measure, show, write."""
    from dev.demo.__main__ import cluster_shell, story_of

    console = Console()
    shell = cluster_shell(None)
    figures = asyncio.run(measure(story_of(shell, console), shell.kubeconfig, rounds))
    show(figures, console)
    console.print(f"written: {write_figures('rollback', figures)}")


if __name__ == "__main__":
    main()
