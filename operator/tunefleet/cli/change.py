"""One change of a user's object, from what would change until it answers: every command that patches ends here."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from tunefleet.kube.client import Json
from tunefleet.plan.endpoint_history import differences

from .access import Access
from .cluster import Cluster, NoAnswerError, connected
from .errors import INTERRUPTED, CommandError, NotInTimeError
from .gitops import advice, manager
from .how import How
from .merge import applied
from .standing import Judge, Standing
from .subject import Subject

RETRY_SECONDS = 1.0
"""Before an API server that did not answer is asked again."""


@dataclass(frozen=True)
class Change:
    """A merge patch of one object's spec, and how to tell that it is done."""

    subject: Subject
    former: Json
    """The object as it was read."""
    spec: Mapping[str, Any]
    """The patch, of the spec."""
    judge: Callable[[int], Judge]
    """Judges the object from this generation on."""

    @property
    def patch(self) -> dict[str, Any]:
        """As it is sent."""
        return {"spec": dict(self.spec)}

    def lines(self, latest: Mapping[str, Any]) -> list[str]:
        """What differs in the spec."""
        return [f"  {line}" for line in differences(self.former["spec"], latest, "spec.")]


Maker = Callable[[Cluster], Any]
"""Reads what it needs; gives an awaitable of the changes, in the order in which they are made."""


def run(access: Access, make: Maker, how: How) -> None:
    """Make the changes, and wait until they answer. Raises CommandError."""
    patched: list[Subject] = []
    try:
        asyncio.run(_run(access, make, how, patched))
    except KeyboardInterrupt:
        if patched:
            names = ", ".join(map(str, patched))
            click.echo(f"\nNot waited for any more. The change of {names} stands and goes on.", err=True)
        raise SystemExit(INTERRUPTED) from None


async def _run(access: Access, make: Maker, how: How, patched: list[Subject]) -> None:
    async with connected(access) as cluster:
        changes: Sequence[Change] = await make(cluster)
        judges = []
        for change in changes:
            generation = await _make(cluster, change, how)
            patched.append(change.subject)
            judges.append((change.subject, change.judge(generation)))
        if how.dry_run == "none" and how.wait:
            await _wait(cluster, judges[::-1], how.timeout)


async def _make(cluster: Cluster, change: Change, how: How) -> int:
    """The generation that the change has."""
    before = int(change.former["metadata"].get("generation", 0))
    lines = change.lines(applied(change.former["spec"], change.spec))
    if not lines:
        click.echo(f"{change.subject}: nothing to change, the spec says so already")
        return before
    if (who := manager(change.former)) is not None:
        click.echo(advice(who, change.former, change.patch), err=True)
    if how.dry_run == "client":
        _say(change.subject, "would change", lines)
        return before
    latest = await cluster.patch(change.subject, change.patch, dry_run=how.dry_run == "server")
    told = "would change (checked by the API server)" if how.dry_run == "server" else "changed"
    _say(change.subject, told, change.lines(latest["spec"]))
    return int(latest["metadata"]["generation"])


def _say(subject: Subject, what: str, lines: Sequence[str]) -> None:
    click.echo("\n".join((f"{subject} {what}:", *lines)))


async def _wait(cluster: Cluster, judges: Sequence[tuple[Subject, Judge]], seconds: float) -> None:
    """For each in turn. Raises CommandError for what failed, NotInTimeError when it takes too long."""
    progress = Progress()
    subject = judges[0][0]
    try:
        async with asyncio.timeout(seconds):
            for subject, judge in judges:
                standing = await _until_settled(cluster, subject, judge, progress)
                if standing.outcome == "failed":
                    raise CommandError(f"{subject}: {standing.message}")
                click.echo(f"{subject}: {standing.message}")
    except TimeoutError:
        raise NotInTimeError(
            f"{subject} is not done after {seconds:g} s: {progress.last or 'the API server did not answer'}; "
            "the change stands and goes on"
        ) from None


async def _until_settled(cluster: Cluster, subject: Subject, judge: Judge, progress: "Progress") -> Standing:
    while True:
        try:
            async for obj in cluster.follow(subject):
                standing = judge(obj)
                if standing.outcome != "working":
                    return standing
                progress.say(subject, standing.message)
        except NoAnswerError as error:
            progress.say(subject, error.message)
            await asyncio.sleep(RETRY_SECONDS)


class Progress:
    """A line for each piece of news, with the seconds since the change."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told: tuple[Subject, str] | None = None

    @property
    def last(self) -> str:
        """What was said last."""
        return self._told[1] if self._told else ""

    def say(self, subject: Subject, message: str) -> None:
        """Once each."""
        if (subject, message) != self._told:
            self._told = (subject, message)
            click.echo(f"  {time.monotonic() - self._began:4.0f} s  {subject}  {message}")
