"""Commands as argument lists: run to the end, output captured, and an error that shows what the command said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CommandError(RuntimeError):
    """A command exited with another status than 0; the message holds the end of its output."""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run `command` and return its standard output; `env` is added to this process's environment.

    Raises CommandError when it fails, with the last 20 lines that it wrote.
    """
    result = attempt(command, env=env, cwd=cwd, stdin=stdin)
    if result.returncode:
        said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-20:])
        raise CommandError(f"`{' '.join(map(str, command))}` failed with status {result.returncode}:\n{said}")
    return result.stdout


def attempt(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command` and return what came of it, failed or not."""
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
