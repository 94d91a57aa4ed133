"""`python -m dev.up`: the local cluster with Tunefleet's images in it.

The first time, Kubernetes is compiled while the engine's image is built: one is bound by the processors, the other by
the network and the disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dev import settings as configuration
from dev.cluster import engine, prerequisites
from dev.images import catalog
from dev.images.recipes import ROOT
from dev.settings import Settings
from dev.steps import console, reported, step

LOG = "images.log"


@click.command(help=__doc__)
@click.option("--install", is_flag=True, default=os.environ.get("CI") == "true", help="Get missing Debian packages.")
def main(install: bool) -> None:
    settings = configuration.load()
    if not engine.docker_and_kind():
        prerequisites.ensure(install=install)
    with _building(settings):
        engine.choose().up(settings, install=install)
    catalog.load_all(settings, [name for name in catalog.NAMES if name != "base"])
    console.print(f"export KUBECONFIG={settings.kubeconfig}", soft_wrap=True)


@contextmanager
def _building(settings: Settings) -> Iterator[None]:
    """Build images during the block, in a process of its own, and afterwards wait for it."""
    path = settings.cache / LOG
    with path.open("w") as log:
        command = [sys.executable, "-m", "dev.images", "build", "runtime-cpu", "operator", "gateway"]
        with subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as builder:
            try:
                yield
            except BaseException:
                builder.terminate()
                raise
            with step(f"images (what they do: {path})"):
                builder.wait()
    if builder.returncode:
        raise RuntimeError(f"the images could not be built:\n{path.read_text()}")


if __name__ == "__main__":
    with reported():
        main()
