"""tunefleet diff: what differs between two versions of an adapter, or two revisions of an endpoint."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from .access import Access
from .errors import CommandError
from .options import access_options
from .subject import parse, version_number

if TYPE_CHECKING:
    from tunefleet.api.lora_adapter import LoRAAdapter


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="TYPE NAME FORMER [LATTER]")
@access_options
def diff(words: tuple[str, ...], access: Access) -> None:
    """Show what differs, a line a field: source, digest, rank, modules, size and lineage of an adapter's versions; the
    spec of an endpoint's revisions. Without LATTER it is the active version, or the present spec.

    \b
        tunefleet diff lora support-de 3 4
        tunefleet diff iep chat chat-1f3a9c2e
    """
    subject, names = parse(words, ("LoRAAdapter", "InferenceEndpoint"), 1, 2)
    numbers = [version_number(n) for n in names] if subject.kind == "LoRAAdapter" else []

    async def read() -> dict[str, Any]:
        from .cluster import connected

        async with connected(access) as cluster:
            return await cluster.read(subject)

    obj = asyncio.run(read())
    lines = adapter_lines(obj, numbers) if subject.kind == "LoRAAdapter" else endpoint_lines(obj, names)
    click.echo("\n".join(lines) or "no difference")


def adapter_lines(obj: dict[str, Any], numbers: list[int]) -> list[str]:
    """Of two versions, or of one and the active one. Raises CommandError for one that is not known."""
    from tunefleet.api.lora_adapter import LoRAAdapter
    from tunefleet.plan.endpoint_history import differences

    adapter = LoRAAdapter.read(obj)
    former, latter = (*numbers, adapter.spec.active_version)[:2]
    return list(differences(_told(adapter, former), _told(adapter, latter)))


def _told(adapter: "LoRAAdapter", number: int) -> dict[str, Any]:
    """What spec and status say of a version; lists as maps, so that a module more is a line."""
    listed = next((v for v in adapter.spec.versions if v.version == number), None)
    entry = next((v for v in adapter.status.versions if v.version == number), None)
    if listed is None and entry is None:
        known = ", ".join(str(v.version) for v in adapter.spec.versions)
        raise CommandError(f"lora/{adapter.metadata.name} has no version {number}; it has {known}")
    said = listed.dump() if listed else {}
    found = entry.dump() if entry else {}
    lineage = {**(found.pop("lineage", None) or {}), **(said.pop("lineage", None) or {})}
    modules = dict.fromkeys(found.pop("targetModules", ()), "adapted")
    found.pop("fingerprints", None)
    return {**said, **found, "targetModules": modules, "lineage": lineage}


def endpoint_lines(obj: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """Of two revisions, or of one and the present spec. Raises CommandError for one that is not known."""
    from tunefleet.api.inference_endpoint import InferenceEndpoint
    from tunefleet.plan.endpoint_history import RevisionSpec, differences

    from .rollback import record_named

    endpoint = InferenceEndpoint.read(obj)
    specs = []
    for name in names:
        spec = RevisionSpec.recorded(record_named(endpoint, name))
        if spec is None:
            raise CommandError(f"the spec of revision {name} was not remembered")
        specs.append(spec)
    former, latter = (*specs, RevisionSpec.of(endpoint.spec))[:2]
    return list(differences(former.dump(), latter.dump()))
