"""What of the cluster runs, as a table."""

from __future__ import annotations

from dev import commands
from dev.cluster.engine import Engine
from dev.settings import Settings
from dev.steps import console


def show(settings: Settings, engine: Engine) -> bool:
    """Print every part, and nodes and pods when there is an API server; whether all parts run."""
    parts = engine.parts(settings)
    for name, runs in parts.items():
        console.print(f"{'[green]✓[/green]' if runs else '[red]✗[/red]'} {name}")
    if not all(parts.values()):
        return False
    console.print(f"[dim]kubeconfig {settings.kubeconfig}[/dim]", soft_wrap=True)
    for what in (["nodes", "--output=wide"], ["pods", "--all-namespaces", "--output=wide"]):
        console.print(commands.run(["kubectl", f"--kubeconfig={settings.kubeconfig}", "get", *what]), soft_wrap=True)
    return True
