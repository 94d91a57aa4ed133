"""tunefleet keys list: who has keys."""

import asyncio
from typing import TYPE_CHECKING

import click

from .access import Access
from .options import keys_options, output_option

if TYPE_CHECKING:
    from .key_secrets import Stored


@click.command("list")
@output_option
@keys_options
def list_(output: str, access: Access) -> None:
    """Show who has keys, how many of them are valid, and what they may see and use."""
    from .key_rows import holder_row, holder_table
    from .key_secrets import now
    from .table import rendered

    found = asyncio.run(_stored(access))
    if output != "table":
        click.echo(rendered([holder_row(one, now()) for one in found], output))
    elif found:
        click.echo(holder_table(found, now()))
    else:
        click.echo(
            f"nobody has a key in namespace {access.namespace}: `tunefleet keys create NAME` makes one", err=True
        )


async def _stored(access: Access) -> "list[Stored]":
    from .cluster import connected
    from .key_secrets import stored

    async with connected(access) as cluster:
        return await stored(cluster)
