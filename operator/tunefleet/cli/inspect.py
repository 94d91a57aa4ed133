"""tunefleet inspect: the adapter gate without a cluster and without an engine."""

import asyncio
from typing import TYPE_CHECKING

import click

from .errors import FAILED

if TYPE_CHECKING:
    from .verdict import Verdict

HIGHEST_RANK = 512


@click.command()
@click.argument("place", metavar="PATH|URI")
@click.option(
    "--base", metavar="PATH|URI", help="The base model that it shall be loaded on; only its headers are read."
)
@click.option(
    "--max-rank",
    type=click.IntRange(1, HIGHEST_RANK),
    default=HIGHEST_RANK,
    show_default=True,
    help="Highest rank of the endpoint, adapters.maxRank.",
)
@click.option(
    "--output", "-o", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True, help="Form."
)
def inspect(place: str, base: str | None, max_rank: int, output: str) -> None:
    """Say what an adapter is, and whether the gate would let it be loaded. No cluster and no GPU is needed.

    PATH is a directory as PEFT saves it, URI what spec.versions[].source.uri takes; its credentials are read from the
    environment, under the names that a Secret has. Without --base only the checks that need no base are made. Exit
    codes: 0 it may be loaded, 1 it is refused or cannot be read, 2 wrong usage.

    \b
        tunefleet inspect ./support-de/v4 --base ./llama-3.1-8b
        tunefleet inspect s3://models/support-de/v4 --base hf://meta-llama/Llama-3.1-8B-Instruct --max-rank 16
    """
    verdict = asyncio.run(_judged(place, base, max_rank))
    click.echo(_rendered(verdict, output))
    if not verdict.accepted:
        raise click.exceptions.Exit(FAILED)


async def _judged(place: str, base: str | None, max_rank: int) -> "Verdict":
    from tunefleet.artifacts.errors import ArtifactError

    from .places import adapter_at, architecture_at
    from .verdict import judged

    architecture = None
    if base is not None:
        try:
            architecture = await architecture_at(base)
        except ArtifactError as error:
            raise click.BadParameter(error.message, param_hint="--base") from error
    return judged(place, await adapter_at(place), architecture, max_rank)


def _rendered(verdict: "Verdict", output: str) -> str:
    import json

    import yaml

    from .verdict import as_text

    if output == "table":
        return as_text(verdict)
    document = verdict.model_dump(mode="json", by_alias=True)
    return (
        json.dumps(document, indent=2) if output == "json" else str(yaml.safe_dump(document, sort_keys=False)).rstrip()
    )
