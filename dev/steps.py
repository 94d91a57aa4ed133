"""Progress on the screen: one line a step, with its seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show `title` while the block runs, then keep it with the seconds it took, or marked as failed."""
    began = time.monotonic()
    if not console.is_terminal:
        console.print(f"[dim]… {title}[/dim]")
    try:
        with console.status(f"{title} …"):
            yield
    except BaseException:
        console.print(f"[red]✗[/red] {title} [dim]{time.monotonic() - began:.1f} s[/dim]")
        raise
    console.print(f"[green]✓[/green] {title} [dim]{time.monotonic() - began:.1f} s[/dim]")


def skipped(title: str, why: str) -> None:
    """Say that a step was not needed."""
    console.print(f"[dim]· {title} ({why})[/dim]")


@contextmanager
def reported() -> Iterator[None]:
    """End the program with status 1 and the message alone when something that a person can mend went wrong."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError) as error:
        if os.environ.get("TUNEFLEET_TRACE"):
            raise
        console.print(str(error), style="red", markup=False)
        raise SystemExit(1) from error
