"""`python -m dev.cluster`: the local cluster's command line."""

from __future__ import annotations

import os
import time

import click

from dev import settings as configuration
from dev.builds.__main__ import BUILDS
from dev.builds.gomodules import ensure
from dev.cluster import engine, status
from dev.settings import Settings
from dev.steps import console, reported


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """A Kubernetes cluster on this machine, named by TUNEFLEET_CLUSTER (default: tunefleet)."""
    context.obj = configuration.load()


@main.command()
@click.option(
    "--install", is_flag=True, default=os.environ.get("CI") == "true", help="Install missing Debian packages."
)
@click.pass_obj
def up(settings: Settings, install: bool) -> None:
    """Bring the cluster up; what runs already is left alone."""
    began = time.monotonic()
    engine.choose().up(settings, install=install)
    console.print(f"cluster {settings.name} is up [dim]{time.monotonic() - began:.1f} s[/dim]")
    console.print(f"export KUBECONFIG={settings.kubeconfig}", soft_wrap=True)


@main.command()
@click.option("--purge", is_flag=True, help="Remove the cluster's images and certificates, too.")
@click.pass_obj
def down(settings: Settings, purge: bool) -> None:
    """Take the cluster down; its images and the builds stay."""
    chosen = engine.choose()
    chosen.down(settings)
    if purge:
        chosen.purge(settings)
        configuration.forget(settings)


@main.command("status")
@click.pass_obj
def show_status(settings: Settings) -> None:
    """Say what runs; exits with 1 when something does not."""
    if not status.show(settings, engine.choose()):
        raise SystemExit(1)


@main.command()
@click.argument("image")
@click.pass_obj
def load(settings: Settings, image: str) -> None:
    """Load IMAGE into the cluster: a reference of `dev.images`, or of the local Docker."""
    engine.choose().load(settings, image)


@main.command()
@click.option("--export", is_flag=True, help="Print a line for the shell.")
@click.pass_obj
def kubeconfig(settings: Settings, export: bool) -> None:
    """Print the path of the administrator's kubeconfig."""
    click.echo(f"export KUBECONFIG={settings.kubeconfig}" if export else settings.kubeconfig)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BUILDS)))
@click.pass_obj
def build(settings: Settings, names: tuple[str, ...]) -> None:
    """Build the cluster's parts, or those named, into the cache."""
    for name in names or BUILDS:
        ensure(BUILDS[name], settings.cache)


if __name__ == "__main__":
    with reported():
        main()
