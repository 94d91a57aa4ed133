"""The cluster by kind, on machines with Docker: kind brings its own control plane, network and DNS."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from dev import commands
from dev.builds import kubernetes
from dev.cluster import tools
from dev.settings import Settings
from dev.steps import skipped, step

NETWORKS = ("10.244.0.0/16", "10.96.0.0/16")  # kind's defaults for pods and Services


def up(settings: Settings, *, install: bool) -> None:  # noqa: ARG001 — kind needs nothing of the system
    """Create the cluster unless there is one of its name."""
    if _exists(settings):
        skipped(f"kind cluster {settings.name}", "running")
    else:
        with step(f"kind cluster {settings.name}"):
            image = f"kindest/node:v{kubernetes.VERSION}"
            commands.run(["kind", "create", "cluster", "--name", settings.name, "--image", image, "--wait", "120s"])
    tools.ensure_tools(settings.cache)
    settings.state.mkdir(parents=True, exist_ok=True)
    commands.run(["kind", "export", "kubeconfig", "--name", settings.name, "--kubeconfig", settings.kubeconfig])
    _route(settings)


def down(settings: Settings) -> None:
    """Delete the cluster; Docker keeps the images."""
    with step(f"delete kind cluster {settings.name}"):
        commands.run(["kind", "delete", "cluster", "--name", settings.name])


def purge(settings: Settings) -> None:
    """Remove the kubeconfig, the one file that is kept."""
    settings.kubeconfig.unlink(missing_ok=True)


def load(settings: Settings, reference: str) -> None:
    """Load an image of the local Docker."""
    with step(f"load {reference}"):
        commands.run(["kind", "load", "docker-image", "--name", settings.name, reference])


def parts(settings: Settings) -> Mapping[str, bool]:
    """kind's cluster is one part."""
    return {f"kind cluster {settings.name}": _exists(settings)}


def _route(settings: Settings) -> None:
    """Let this machine reach pods and Services by their addresses, as in the native cluster: by root, on Linux."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        skipped("routes to pods and Services", "they take root on Linux; use kubectl port-forward")
        return
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    node = commands.run(["docker", "inspect", "--format", address, f"{settings.name}-control-plane"]).strip()
    for network in NETWORKS:
        commands.run(["ip", "route", "replace", network, "via", node])


def _exists(settings: Settings) -> bool:
    return settings.name in commands.run(["kind", "get", "clusters"]).split()
