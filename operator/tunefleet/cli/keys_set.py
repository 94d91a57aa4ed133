"""tunefleet keys set: another policy."""

import asyncio

import click

from .access import Access
from .key_policy import Said, policy_options
from .options import keys_options


@click.command("set")
@click.argument("name")
@policy_options
@keys_options
def set_(name: str, said: Said, access: Access) -> None:
    """Change what NAME may see and use; what is not said stays as it is. Its keys stay the same.

    Options for models take the place of all that its policy says of models.

    \b
        tunefleet keys set support-bot --requests-per-minute 1200 --tokens-per-minute 0
        tunefleet keys set support-bot --models 'support-*,sales' --expires never
    """
    if said == Said(None, {}, None):
        raise click.UsageError("say what to change, such as --requests-per-minute 600")
    asyncio.run(_set(access, name, said))


async def _set(access: Access, name: str, said: Said) -> None:
    from dataclasses import replace

    from tunefleet.plan.keys import KeyHolder

    from .cluster import connected
    from .key_rows import holder_table
    from .key_secrets import change, now, read

    def changed(holder: KeyHolder) -> KeyHolder:
        return replace(holder, policy=said.over(holder.policy.dump(), now()))

    async with connected(access) as cluster:
        await change(cluster, name, changed)
        click.echo(holder_table([await read(cluster, name)], now()))
