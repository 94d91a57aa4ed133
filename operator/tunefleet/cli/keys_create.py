"""tunefleet keys create: a new holder with a key."""

import asyncio
import secrets

import click

from .access import Access
from .key_policy import Said, policy_options
from .options import keys_options, output_option


@click.command("create")
@click.argument("name")
@policy_options
@output_option
@keys_options
def create_(name: str, said: Said, output: str, access: Access) -> None:
    """Make a holder NAME and its first key, and print the key: this once.

    Where nothing is said of models, all exist for the holder, and where nothing is said of a limit, there is none. A
    model must fit all that is said. Its Secret can say more: several such rules, of which any may fit.

    \b
        KEY=$(tunefleet keys create support-bot --models 'support-*' --requests-per-minute 600)
        tunefleet keys create team-a --model-namespace team-a --selector tier=gold --expires 90d
    """
    asyncio.run(_create(access, name, said, output))


async def _create(access: Access, name: str, said: Said, output: str) -> None:
    from tunefleet.plan.keys import RANDOM_BYTES, KeyHash, KeyHolder, make_key

    from .cluster import connected
    from .key_rows import tell_new_key
    from .key_secrets import create, now

    key = make_key(secrets.token_bytes(RANDOM_BYTES))
    holder = KeyHolder(name, (KeyHash.of(key),), said.over({}, now()))
    async with connected(access) as cluster:
        await create(cluster, holder)
    tell_new_key(holder, key, output)
