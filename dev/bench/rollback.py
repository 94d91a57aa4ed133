"""`python -m dev.bench.rollback`: promote and roll back again and again, under 20 requests/s and 4 long streams.

Needs the objects that `make demo` leaves. A change is timed from the start of the API call that patches
`spec.activeVersion` to the end of the first answer of the version that was asked for.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from kubernetes import client, config
from rich.console import Console
from rich.table import Table

from dev.demo.load import Answer, Load, Question
from dev.demo.prepare import NAMESPACE
from dev.demo.scenario import BAD, GOOD, LONG, LONG_TOKENS, RATE, SHORT, Story
from dev.demo.verdict import Verdict, came_late, judge

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


@dataclass(frozen=True)
class Change:
    """One promotion or roll-back. Times are seconds of the load's clock."""

    version: str
    """NAME@vN that was asked for."""
    patched: float
    answered: float
    """End of its first answer: whoever asks from now on shall get no other version, until the next patch."""

    @property
    def seconds(self) -> float:
        """Patch to first answer."""
        return self.answered - self.patched


async def change(load: Load, api: client.CustomObjectsApi, number: int, version: str) -> Change:
    """Patch activeVersion, and wait until its answers come: the first one, and one that began after that."""
    patched = load.clock()
    patch = asyncio.create_task(asyncio.to_thread(patch_active, api, number))
    first = await asyncio.wait_for(load.first(lambda a: a.version == version and a.started > patched), 60)
    await patch
    await load.first(lambda a: a.question.model == "german" and a.started > first.ended)
    return Change(version, patched, first.ended)


def stale(answers: Sequence[Answer], changes: Sequence[Change]) -> list[Answer]:
    """Answers by another version than the latest that had answered when they were asked for, of all that came."""
    ends = [*(c.patched for c in changes[1:]), float("inf")]
    return [
        answer
        for made, end in zip(changes, ends, strict=True)
        for answer in came_late(answers, made.version, made.answered)
        if answer.started < end
    ]


async def measure(story: Story, kubeconfig: Path, rounds: int) -> dict[str, float | int]:
    """Promote and roll back `rounds` times under load."""
    load, api, changes = story.load(), patcher(kubeconfig), list[Change]()
    short = [Question(m, SHORT) for m in STREAMED]
    async with load.running(short, RATE, [Question(m, LONG, LONG_TOKENS) for m in STREAMED]):
        for _ in range(rounds):
            for number, version in ((2, BAD), (1, GOOD)):
                changes.append(await change(load, api, number, version))
    return figures_of(load.answers, changes, judge(load.answers, story.expected))


def figures_of(answers: Sequence[Answer], changes: Sequence[Change], verdict: Verdict) -> dict[str, float | int]:
    """What is printed and written."""
    up = [c.seconds for c in changes if c.version == BAD]
    back = [c.seconds for c in changes if c.version == GOOD]
    return {
        "rounds": len(back),
        "rollback_p50_seconds": percentile(back, 50),
        "rollback_max_seconds": max(back),
        "promotion_p50_seconds": percentile(up, 50),
        "promotion_max_seconds": max(up),
        **verdict.as_dict(),
        "wrong": verdict.wrong + len([a for a in stale(answers, changes) if not a.error]),
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
