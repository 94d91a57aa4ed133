"""tunefleet keys create: a new holder with a key."""

import asyncio
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

import click

from .access import Access
from .options import Duration, keys_options, output_option


@click.command("create")
@click.argument("name")
@click.option(
    "--models",
    multiple=True,
    metavar="NAME[,NAME…]",
    help="Served names that exist for the holder; a trailing * stands for whatever follows. Repeat for more.",
)
@click.option(
    "--model-namespace", multiple=True, metavar="NAMESPACE", help="Only models of these namespaces; repeat for more."
)
@click.option(
    "--selector", metavar="LABEL=VALUE[,…]", help="Only models whose LoRAAdapter or BaseModel has these labels."
)
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Requests to engines.  [default: no limit]")
@click.option("--tokens-per-minute", type=click.IntRange(min=1), help="Prompts and completions.  [default: no limit]")
@click.option("--max-concurrent", type=click.IntRange(min=1), help="Requests at a time.  [default: no limit]")
@click.option("--expires", type=Duration(), help="When the holder's keys end, such as 12h or 90d.  [default: never]")
@output_option
@keys_options
def create_(
    name: str,
    models: tuple[str, ...],
    model_namespace: tuple[str, ...],
    selector: str | None,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    max_concurrent: int | None,
    expires: float | None,
    output: str,
    access: Access,
) -> None:
    """Make a holder NAME and its first key, and print the key: this once.

    Without options for models, all of them exist for the holder; with several, a model must fit all. A Secret can say
    more: rules of which any may fit, see `tunefleet keys show NAME -o yaml`.

    \b
        KEY=$(tunefleet keys create support-bot --models 'support-*' --requests-per-minute 600)
        tunefleet keys create team-a --model-namespace team-a --selector tier=gold --expires 90d
    """
    from tunefleet.plan.keys import timestamp

    from .key_secrets import now

    rule = _given({"names": _words(models), "namespaces": model_namespace, "selector": _selector(selector)})
    limits = {
        "requestsPerMinute": requests_per_minute,
        "tokensPerMinute": tokens_per_minute,
        "maxConcurrentRequests": max_concurrent,
        "expires": timestamp(_end(now(), expires)) if expires is not None else None,
    }
    asyncio.run(_create(access, name, _given({"models": [rule] if rule else None, **limits}), output))


def _end(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        raise click.BadParameter("that is never: leave it out", param_hint="--expires") from None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _words(values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in value.split(",") if word]


def _selector(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(label and sign and value for label, sign, value in pairs):
        raise click.BadParameter(f"{text!r} is no list of LABEL=VALUE", param_hint="--selector")
    return {"matchLabels": {label: value for label, _, value in pairs}}


async def _create(access: Access, name: str, policy: dict[str, Any], output: str) -> None:
    from tunefleet.api.api_key import read_policy
    from tunefleet.plan.keys import RANDOM_BYTES, KeyHash, KeyHolder, make_key

    from .cluster import connected
    from .key_rows import tell_new_key
    from .key_secrets import create

    try:
        checked = read_policy(json.dumps(policy))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    key = make_key(secrets.token_bytes(RANDOM_BYTES))
    holder = KeyHolder(name, (KeyHash.of(key),), checked)
    async with connected(access) as cluster:
        await create(cluster, holder)
    tell_new_key(holder, key, output)
