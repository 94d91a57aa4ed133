"""tunefleet keys rotate: another key, and the former ones for a while."""

import asyncio
import secrets
from datetime import timedelta

import click

from .access import Access
from .options import Duration, keys_options, output_option

LONGEST_SECONDS = 10 * 365 * 86400.0


@click.command("rotate")
@click.argument("name")
@click.option(
    "--keep",
    type=Duration(),
    default="24h",
    show_default=True,
    help="How long the former keys work on, such as 30m, 24h or 7d. 0: they end at once.",
)
@output_option
@keys_options
def rotate_(name: str, keep: float, output: str, access: Access) -> None:
    """Give NAME another key, and print it: this once. The former keys work on for --keep, then they end.

    Hand out the new key meanwhile. A second rotation within that time does not make it longer.
    """
    if keep > LONGEST_SECONDS:
        raise click.BadParameter("keep former keys for ten years at most", param_hint="--keep")
    asyncio.run(_rotate(access, name, timedelta(seconds=keep), output))


async def _rotate(access: Access, name: str, keep: timedelta, output: str) -> None:
    from dataclasses import replace

    from tunefleet.plan.keys import MAX_KEYS, RANDOM_BYTES, KeyHash, KeyHolder, make_key, rotated, timestamp

    from .cluster import connected
    from .errors import CommandError
    from .key_rows import tell_new_key
    from .key_secrets import change, now

    key, time = make_key(secrets.token_bytes(RANDOM_BYTES)), now()

    def turn(holder: KeyHolder) -> KeyHolder:
        if holder.policy.expires is not None and holder.policy.expires <= time:
            ended = timestamp(holder.policy.expires)
            raise CommandError(f"the keys of {name} ended at {ended} by its policy: revoke it and create it anew")
        hashes = rotated(holder.hashes, KeyHash.of(key), time, keep)
        if len(hashes) > MAX_KEYS:
            raise CommandError(f"{MAX_KEYS} keys of {name} work, which is the most: revoke one by its --hash first")
        return replace(holder, hashes=hashes)

    async with connected(access) as cluster:
        _, holder = await change(cluster, name, turn)
    for former in holder.hashes[1:]:
        assert former.expires is not None
        click.echo(f"{name}: key {former.digest[:8]} works until {timestamp(former.expires)}", err=True)
    tell_new_key(holder, key, output)
