"""tunefleet pause: a canary stays at its step."""

from typing import TYPE_CHECKING

import click

from .access import Access
from .how import How
from .options import access_options, change_options
from .subject import Subject, parse

if TYPE_CHECKING:
    from .change import Change
    from .cluster import Cluster


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="lora NAME")
@change_options
@access_options
def pause(words: tuple[str, ...], how: How, access: Access) -> None:
    """Patch an adapter's rollout.paused to true, and wait until the operator has seen it.

    Analysis goes on: a version that is worse than it may be is taken back all the same.
    """
    subject, _ = parse(words, ("LoRAAdapter",), 0, 0)
    set_paused(subject, paused=True, how=how, access=access)


def set_paused(subject: Subject, *, paused: bool, how: How, access: Access) -> None:
    """The change that pause and resume make."""
    from .change import Change, run
    from .standing import of_seen

    async def make(cluster: "Cluster") -> "list[Change]":
        obj = await cluster.read(subject)
        return [Change(subject, obj, {"rollout": {"paused": paused}}, of_seen)]

    run(access, make, how)
