"""tunefleet rollback: a former version of an adapter, or a former revision of an endpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .access import Access
from .errors import CommandError
from .how import How
from .options import access_options, change_options
from .subject import Subject, parse, version_number

if TYPE_CHECKING:
    from tunefleet.api.inference_endpoint import InferenceEndpoint, RevisionRecord
    from tunefleet.api.lora_adapter import LoRAAdapter

    from .change import Change
    from .cluster import Cluster


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="TYPE NAME")
@click.option("--to", help="Version of an adapter, or revision of an endpoint as `history` shows it. The one before.")
@click.option(
    "--with-adapters", is_flag=True, help="Of an endpoint: take adapters back to their versions for that base."
)
@change_options
@access_options
def rollback(words: tuple[str, ...], to: str | None, with_adapters: bool, how: How, access: Access) -> None:
    """Go back, and wait until that answers.

    Of an adapter it patches activeVersion: to the version that served before, or to the serving one while another is
    on its way, which also ends a canary. Of an endpoint it patches model, engine, parallelism, accelerator and adapters
    as status.history remembers them, and no more of them than differs; with --with-adapters also activeVersion of the
    adapters that are pinned to the base version that it leaves.

    \b
        tunefleet rollback lora support-de
        tunefleet rollback lora/support-de --to 3
        tunefleet rollback iep chat --with-adapters
    """
    subject, _ = parse(words, ("LoRAAdapter", "InferenceEndpoint"), 0, 0)
    if with_adapters and subject.kind == "LoRAAdapter":
        raise click.UsageError("--with-adapters is for an endpoint")
    version = version_number(to) if to and subject.kind == "LoRAAdapter" else None
    from .change import run

    async def make(cluster: "Cluster") -> "list[Change]":
        obj = await cluster.read(subject)
        if subject.kind == "LoRAAdapter":
            return [_adapter_change(subject, obj, version)]
        change = endpoint_change(subject, obj, to)
        taken = _along(await cluster.all("LoRAAdapter"), obj, change) if with_adapters else []
        return [*taken, change]

    run(access, make, how)


def _adapter_change(subject: Subject, obj: dict[str, Any], version: int | None) -> "Change":
    from tunefleet.api.lora_adapter import LoRAAdapter

    from .promote import activation

    return activation(subject, obj, version or version_before(LoRAAdapter.read(obj)))


def version_before(adapter: "LoRAAdapter") -> int:
    """Where going back leads: to what serves while another version is on its way, else to what served before it.

    Raises CommandError when nothing did.
    """
    from tunefleet.plan.version_history import serving_changes

    status = adapter.status
    if status.serving_version is not None and status.serving_version != adapter.spec.active_version:
        return status.serving_version
    before = next((entry.from_version for entry in serving_changes(reversed(status.history))), None)
    if before is None:
        raise CommandError(f"no version of lora/{adapter.metadata.name} served before: name one by --to")
    return before


def endpoint_change(subject: Subject, obj: dict[str, Any], to: str | None) -> "Change":
    """The change that brings a former revision back. Raises CommandError when there is none to go back to."""
    from tunefleet.api.inference_endpoint import InferenceEndpoint
    from tunefleet.plan.endpoint_history import RevisionSpec

    from . import standing
    from .change import Change
    from .merge import between

    endpoint = InferenceEndpoint.read(obj)
    present = RevisionSpec.of(endpoint.spec)
    record = record_named(endpoint, to) if to else record_before(endpoint, present)
    wanted = RevisionSpec.recorded(record)
    if wanted is None:
        raise CommandError(f"the spec of revision {record.name} was not remembered: take it from git")
    spec = between(present.dump(), wanted.dump())
    return Change(subject, obj, spec, lambda generation: standing.of_endpoint(wanted, generation))


def record_before(endpoint: "InferenceEndpoint", present: Any) -> "RevisionRecord":
    """Of what serves while the spec asks for something else, else of what served before it."""
    from tunefleet.plan.endpoint_history import RevisionSpec

    for record in reversed(endpoint.status.history):
        if RevisionSpec.recorded(record) not in (None, present):
            return record
    raise CommandError(f"status.history of iep/{endpoint.metadata.name} has no revision before the present one")


def record_named(endpoint: "InferenceEndpoint", name: str) -> "RevisionRecord":
    """The latest record of a revision, by its name or the end of it."""
    found = [r for r in endpoint.status.history if r.name == name or r.name.endswith(f"-{name}")]
    if not found:
        known = ", ".join(dict.fromkeys(r.name for r in endpoint.status.history)) or "none"
        raise CommandError(f"status.history of iep/{endpoint.metadata.name} has no revision {name}; it has {known}")
    return found[-1]


def _along(adapters: Sequence[dict[str, Any]], obj: dict[str, Any], change: "Change") -> "list[Change]":
    """Changes of the adapters that the endpoint carries and that are pinned to another base version than it goes to."""
    from tunefleet.api.inference_endpoint import InferenceEndpoint
    from tunefleet.api.lora_adapter import LoRAAdapter
    from tunefleet.plan.selection import selects

    from .promote import activation

    target = change.spec.get("model", {}).get("version")
    if target is None:
        return []
    endpoint = InferenceEndpoint.read(obj)
    changes = []
    for each in adapters:
        adapter = LoRAAdapter.read(each)
        if selects(endpoint, adapter) and (version := version_for(adapter, target)) is not None:
            whole = {"kind": "LoRAAdapter", **each}
            changes.append(activation(Subject("LoRAAdapter", adapter.metadata.name), whole, version))
    return changes


def version_for(adapter: "LoRAAdapter", base_version: int) -> int | None:
    """The version that last served on this base version; None when the active one is for it, or nothing serves.

    Raises CommandError when none ever did.
    """
    bases = {v.version: v.base_model_version for v in adapter.spec.versions}
    if adapter.status.serving_version is None or bases.get(adapter.spec.active_version) == base_version:
        return None
    served = [v for t in adapter.status.history for v in (t.from_version, t.to_version) if v is not None]
    found = next((v for v in reversed(served) if bases.get(v) == base_version), None)
    if found is None:
        raise CommandError(
            f"lora/{adapter.metadata.name} never served on base version {base_version}: "
            "add a version for it, or go back without --with-adapters"
        )
    return found
