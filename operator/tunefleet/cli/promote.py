"""tunefleet promote: let another version of an adapter answer."""

from typing import TYPE_CHECKING, Any

import click

from .access import Access
from .how import How
from .options import access_options, change_options
from .subject import Subject, parse, version_number

if TYPE_CHECKING:
    from .change import Change
    from .cluster import Cluster


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="lora NAME VERSION")
@click.option("--now", is_flag=True, help="Without the steps of its rollout, whatever its analysis said.")
@change_options
@access_options
def promote(words: tuple[str, ...], now: bool, how: How, access: Access) -> None:
    """Patch an adapter's activeVersion, and wait until that version answers.

    With steps in spec.rollout it goes through them; --now sets rollout.skipStepsFor, which also lets a canary under
    way, or one that was taken back, have all requests. A step without duration is the end of waiting: exit code 0.

    \b
        tunefleet promote lora support-de 4
        tunefleet promote lora/support-de 4 --now
    """
    subject, (word,) = parse(words, ("LoRAAdapter",), 1, 1)
    version = version_number(word)
    from .change import run

    async def make(cluster: "Cluster") -> "list[Change]":
        return [activation(subject, await cluster.read(subject), version, now=now)]

    run(access, make, how)


def activation(subject: Subject, obj: dict[str, Any], version: int, *, now: bool = False) -> "Change":
    """The change that makes a version active. Raises CommandError for one that is not listed, or is refused."""
    from tunefleet.api.lora_adapter import LoRAAdapter

    from . import standing
    from .change import Change

    adapter = LoRAAdapter.read(obj)
    _check(adapter, version)
    spec: dict[str, Any] = {"activeVersion": version}
    if now:
        spec["rollout"] = {"skipStepsFor": version}
    elif adapter.spec.rollout.skip_steps_for == version:
        spec["rollout"] = {"skipStepsFor": None}
    return Change(subject, obj, spec, lambda generation: standing.of_adapter(version, generation))


def _check(adapter: Any, version: int) -> None:
    from tunefleet.plan.versions import entry_of

    from .errors import CommandError

    name, listed = adapter.metadata.name, sorted(v.version for v in adapter.spec.versions)
    if version not in listed:
        numbers = ", ".join(map(str, listed))
        raise CommandError(f"lora/{name} lists no version {version}; it has {numbers}: add it to spec.versions first")
    entry = entry_of(adapter.status.versions, version)
    if entry is not None and entry.accepted is False:
        raise CommandError(f"version {version} of lora/{name} is refused: {entry.message}")
