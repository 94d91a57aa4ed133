"""tunefleet keys show: one holder."""

import asyncio
from typing import TYPE_CHECKING

import click

from .access import Access
from .options import keys_options, output_option

if TYPE_CHECKING:
    from .key_secrets import Stored


@click.command("show")
@click.argument("name")
@output_option
@keys_options
def show_(name: str, output: str, access: Access) -> None:
    """Show what NAME may see and use, and each key by its hash."""
    from .errors import CommandError
    from .key_rows import holder_row, holder_table, key_row, key_table
    from .key_secrets import now
    from .table import rendered

    found = asyncio.run(_read(access, name))
    if found.holder is None:
        raise CommandError(f"Secret {name} cannot be read, so its keys do not work: {found.fault}")
    holder, time = found.holder, now()
    if output != "table":
        keys = [key_row(holder, key, time) for key in holder.hashes]
        click.echo(rendered([{**holder_row(found, time), "keys": keys}], output))
        return
    click.echo(holder_table([found], time))
    click.echo()
    click.echo(key_table(holder, time))


async def _read(access: Access, name: str) -> "Stored":
    from .cluster import connected
    from .key_secrets import read

    async with connected(access) as cluster:
        return await read(cluster, name)
