"""tunefleet history: what served when, and why it changed."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from .access import Access
from .options import access_options, output_option
from .subject import Subject, parse

Row = dict[str, Any]


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="TYPE NAME")
@output_option
@access_options
def history(words: tuple[str, ...], output: str, access: Access) -> None:
    """Show which versions of an adapter, or revisions of an endpoint, served when, and why.

    TYPE is lora or iep, also as TYPE/NAME. An adapter's rows have digest, rank and the gate's verdict of each
    version; an endpoint's have what changed. The last row is what serves.

    \b
        tunefleet history lora support-de
        tunefleet history iep/chat -o json
    """
    subject, _ = parse(words, ("LoRAAdapter", "InferenceEndpoint"), 0, 0)
    from .table import rendered

    rows, header = asyncio.run(_rows(access, subject))
    if output != "table":
        click.echo(rendered(rows, output))
    elif rows:
        click.echo(_table(header, rows))
    else:
        click.echo(f"{subject} has no history: nothing of it has served yet", err=True)


async def _rows(access: Access, subject: Subject) -> tuple[list[Row], Sequence[str]]:
    from .cluster import connected

    async with connected(access) as cluster:
        obj = await cluster.read(subject)
    return (adapter_rows(obj), ADAPTER) if subject.kind == "LoRAAdapter" else (endpoint_rows(obj), ENDPOINT)


ADAPTER = ("time", "from", "to", "cause", "digest", "rank", "accepted")
ENDPOINT = ("time", "revision", "from", "base", "cause", "changes")


def adapter_rows(obj: Row) -> list[Row]:
    """A row for each change of the serving version, latest last."""
    from tunefleet.api.lora_adapter import LoRAAdapter

    status = LoRAAdapter.read(obj).status
    known = {entry.version: entry for entry in status.versions}
    rows = []
    for transition in status.history:
        entry = known.get(transition.to_version)
        rows.append(
            {
                "time": transition.time,
                "from": transition.from_version,
                "to": transition.to_version,
                "cause": transition.cause,
                "digest": entry.digest if entry else None,
                "rank": entry.rank if entry else None,
                "accepted": entry.accepted if entry else None,
            }
        )
    return rows


def endpoint_rows(obj: Row) -> list[Row]:
    """A row for each revision that took over, latest last."""
    from tunefleet.api.inference_endpoint import InferenceEndpoint
    from tunefleet.plan.endpoint_history import RevisionSpec

    rows = []
    for record in InferenceEndpoint.read(obj).status.history:
        spec = RevisionSpec.recorded(record)
        rows.append(
            {
                "time": record.time,
                "revision": record.name,
                "from": record.from_name,
                "base": f"{spec.model.name}@v{spec.model.version}" if spec else None,
                "cause": record.cause,
                "changes": list(record.changes),
            }
        )
    return rows


def _table(header: Sequence[str], rows: Sequence[Row]) -> str:
    from .table import table

    return table(header, [[_cell(name, row[name]) for name in header] for row in rows])


def _cell(name: str, value: Any) -> str:
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return "; ".join(value)
        case str() if name == "digest":
            return value[:19]
        case _:
            return str(value)
