"""containerd from outside: its images, its content, and the containers that an earlier life left in its records."""

from __future__ import annotations

from pathlib import Path

from dev import commands
from dev.settings import Settings

NAMESPACE = "k8s.io"  # the kubelet's


def ctr(settings: Settings, *arguments: str | Path) -> str:
    """Run `ctr` in the kubelet's namespace."""
    return commands.run(_command(settings, *arguments))


def answers(settings: Settings) -> bool:
    """Whether containerd takes calls."""
    return commands.attempt(_command(settings, "images", "ls", "--quiet")).returncode == 0


def images(settings: Settings) -> frozenset[str]:
    """Names of all images."""
    return frozenset(ctr(settings, "images", "ls", "--quiet").split())


def content(settings: Settings) -> frozenset[str]:
    """Digests of all blobs."""
    return frozenset(ctr(settings, "content", "ls", "--quiet").split())


def containers(settings: Settings) -> tuple[str, ...]:
    """All containers, running or only recorded."""
    return tuple(ctr(settings, "containers", "ls", "--quiet").split())


def remove_containers(settings: Settings) -> None:
    """End and forget all containers, so that the next start finds images and nothing else."""
    tasks = ctr(settings, "tasks", "ls", "--quiet").split()
    if tasks:
        commands.attempt(_command(settings, "tasks", "rm", "--force", *tasks))
    names = containers(settings)
    if names:
        ctr(settings, "containers", "rm", *names)


def _command(settings: Settings, *arguments: str | Path) -> list[str | Path]:
    return ["ctr", "--address", settings.containerd_socket, "--namespace", NAMESPACE, *arguments]
