"""tunefleet keys revoke: keys end at once."""

import asyncio

import click

from .access import Access
from .options import keys_options


@click.command("revoke")
@click.argument("name")
@click.option(
    "--hash", "prefix", metavar="PREFIX", help="Only the key whose hash begins so, see `tunefleet keys show`."
)
@keys_options
def revoke_(name: str, prefix: str | None, access: Access) -> None:
    """End all keys of NAME and forget its policy, or end one of its keys; gateways refuse it within a second.

    Requests on their way are answered.
    """
    click.echo(asyncio.run(_revoke(access, name, prefix)))


async def _revoke(access: Access, name: str, prefix: str | None) -> str:
    from dataclasses import replace

    from tunefleet.plan.keys import SHOWN_DIGITS, KeyHolder, named

    from .cluster import connected
    from .errors import CommandError
    from .key_secrets import change, remove

    def without(holder: KeyHolder) -> KeyHolder:
        found = named(holder.hashes, prefix or "")
        if len(found) != 1:
            known = ", ".join(key.digest[:SHOWN_DIGITS] for key in found or holder.hashes) or "none"
            wrong = "is the begin of several hashes" if found else "is the begin of no hash"
            raise CommandError(f"{prefix!r} {wrong} of {name}: {known}")
        return replace(holder, hashes=tuple(key for key in holder.hashes if key != found[0]))

    async with connected(access) as cluster:
        if prefix is None:
            await remove(cluster, name)
            return f"{name} revoked"
        before, after = await change(cluster, name, without)
    (gone,) = set(before.hashes) - set(after.hashes)
    return f"{name}: key {gone.digest[:SHOWN_DIGITS]} revoked, {len(after.hashes)} left"
