"""`python -m dev.images`: build Tunefleet's images and load them into the local cluster."""

from __future__ import annotations

import json

import click

from dev import settings as configuration
from dev.images import catalog
from dev.settings import Settings
from dev.steps import reported

NAMES = click.Choice(list(catalog.NAMES))


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Tunefleet's images: built when what they are made of has changed, loaded as far as the cluster lacks them."""
    context.obj = configuration.load()


@main.command()
@click.argument("names", nargs=-1, type=NAMES)
@click.pass_obj
def build(settings: Settings, names: tuple[str, ...]) -> None:
    """Build all images, or those named."""
    catalog.build_all(settings, names or catalog.NAMES)


@main.command()
@click.argument("names", nargs=-1, type=NAMES)
@click.pass_obj
def load(settings: Settings, names: tuple[str, ...]) -> None:
    """Build all images, or those named, and load them into the cluster."""
    catalog.load_all(settings, names or catalog.NAMES)


@main.command()
def references() -> None:
    """Print the names of the images as JSON: what a Helm chart's values must say."""
    click.echo(json.dumps(catalog.references()))


if __name__ == "__main__":
    with reported():
        main()
