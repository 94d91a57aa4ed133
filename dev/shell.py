"""Runs kubectl and helm against the local cluster, showing what a person would type."""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console


class CommandFailedError(Exception):
    """A command that ended with an error; the message holds its last words."""


@dataclass(frozen=True)
class Shell:
    """Commands against one cluster. `console` shows each command before it runs; None is silent."""

    kubeconfig: Path
    path: str = ""
    """Folders searched before PATH: where the cluster's own helm and kubectl lie."""
    console: Console | None = None

    def environment(self) -> dict[str, str]:
        """The environment of the commands."""
        search = os.pathsep.join(filter(None, [self.path, os.environ["PATH"]]))
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": search}

    def run(self, *command: str, stdin: str | None = None, quiet: bool = False, seconds: float = 600) -> str:
        """Run to the end and give stdout. Raises CommandFailedError with stderr's last lines."""
        if self.console and not quiet:
            self.console.print(f"[bold cyan]$[/] {shlex.join(command)}", highlight=False, soft_wrap=True)
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, env=self.environment(), check=False
        )
        if done.returncode != 0:
            last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
            raise CommandFailedError(f"{shlex.join(command)}\n{last}")
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None, quiet: bool = False) -> str:
        """`kubectl …`."""
        return self.run("kubectl", *arguments, stdin=stdin, quiet=quiet)

    def helm(self, *arguments: str, quiet: bool = False) -> str:
        """`helm …`."""
        return self.run("helm", *arguments, quiet=quiet)
