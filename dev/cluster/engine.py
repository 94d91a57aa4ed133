"""Which kind of cluster: kind where Docker and kind work, else the native one."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from typing import Protocol

from dev import commands
from dev.cluster import kind, native
from dev.settings import Settings


class Engine(Protocol):
    """What both modules can do."""

    def up(self, settings: Settings, *, install: bool) -> None:
        """Bring it up; what runs is left alone."""

    def down(self, settings: Settings) -> None:
        """End it and remove its traces."""

    def purge(self, settings: Settings) -> None:
        """Remove what `down` keeps."""

    def load(self, settings: Settings, reference: str) -> None:
        """Bring an image in."""

    def parts(self, settings: Settings) -> Mapping[str, bool]:
        """What it consists of, and whether that runs."""
        ...


def choose() -> Engine:
    """The one for this machine."""
    return kind if docker_and_kind() else native


@functools.cache
def docker_and_kind() -> bool:
    """Whether kind is installed and a Docker daemon answers; its program alone is not enough."""
    tools = shutil.which("kind") is not None and shutil.which("docker") is not None
    return tools and commands.attempt(["docker", "info"]).returncode == 0
