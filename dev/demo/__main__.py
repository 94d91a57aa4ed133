"""`python -m dev.demo`: prepare, play, report."""

import asyncio
import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from dev import settings
from dev.builds import helm
from dev.builds.gomodules import directory
from dev.shell import CommandFailedError, Shell

from .prepare import (
    MODELS,
    NAMESPACE,
    ROOT,
    SYSTEM_NAMESPACE,
    image_references,
    install,
    make_namespace,
    service_address,
    start_storage,
    upload_models,
)
from .report import show, write
from .scenario import KINDS, Story, play


def prepare(shell: Shell, console: Console, *values: str) -> None:
    """Install Tunefleet with these values of its chart, start the S3 server, upload the models. Idempotent."""
    images = image_references()
    console.print("[bold]0. Install[/]")
    install(shell, images, *values)
    make_namespace(shell)
    files = upload_models(start_storage(shell, images))
    console.print(f"{files} files of examples/models are in the cluster's S3 server")


def remove_former(shell: Shell) -> None:
    """Delete what an earlier run left, and wait until its pods are gone."""
    shell.kubectl("delete", "-n", NAMESPACE, KINDS, "--all", "--wait", quiet=True)
    shell.kubectl(
        "wait", "-n", NAMESPACE, "--for=delete", "pod", "-l", "app.kubernetes.io/component=engine", "--timeout=2m",
        quiet=True,
    )  # fmt: skip


def cluster_shell(console: Console | None) -> Shell:
    """kubectl and helm against the local cluster."""
    cluster = settings.load()
    if not cluster.kubeconfig.exists():
        raise click.ClickException("the local cluster is down; bring it up: make up")
    return Shell(cluster.kubeconfig, path=str(directory(helm.BUILD, cluster.cache)), console=console)


def story_of(shell: Shell, console: Console) -> Story:
    """The story on this cluster, with the answers that the models were trained to give."""
    expected = json.loads((MODELS / "expected.json").read_text())
    return Story(shell, console, service_address(shell, SYSTEM_NAMESPACE, "tunefleet-gateway"), expected)


@click.command(help=__doc__)
@click.option(
    "--only", type=click.Choice(["prepare", "address"]), help="Stop after a part: prepare, or print the address."
)
@click.option(
    "--output", type=click.Path(path_type=Path), default=ROOT / "build", show_default=True, help="For demo.json."
)
def main(only: str | None, output: Path) -> None:
    """Prepare, play, report."""
    console = Console(record=True, width=120)
    shell = cluster_shell(console)
    try:
        if only == "address":
            click.echo(service_address(shell, SYSTEM_NAMESPACE, "tunefleet-gateway"))
            return
        prepare(shell, console)
        if only == "prepare":
            return
        remove_former(shell)
        figures = asyncio.run(play(story_of(shell, console), shell.kubeconfig))
    except CommandFailedError as error:
        raise click.ClickException(str(error)) from None
    show(figures, console)
    write(figures, output / "demo.json")
    console.save_svg(str(output / "demo.svg"), title="make demo")
    shown = Path(os.path.relpath(output))
    console.print(f"figures: {shown / 'demo.json'}, this screen: {shown / 'demo.svg'}; clean up: make down")
    if not figures.clean:
        sys.exit("The demo saw failed, wrong or broken answers: see the table.")


if __name__ == "__main__":
    main()
