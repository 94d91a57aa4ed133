"""The demo's last words: a table for people and build/demo.json for machines."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figures:
    """What the demo measured. Seconds are wall clock on this machine, commands' own start-up included."""

    ready_seconds: float
    """kubectl apply to the last object Ready."""
    engine_start_seconds: float
    """Of these, the engine container's start to its first healthy answer."""
    adapter_seconds: float
    """kubectl apply of one more adapter to its first answer."""
    rollback_seconds: float
    """kubectl patch to the first answer of the old version, under load."""
    requests: int
    failed: int
    wrong: int
    broken_streams: int

    @property
    def clean(self) -> bool:
        """Nothing failed, nothing was wrong, nothing broke."""
        return not (self.failed or self.wrong or self.broken_streams)


ROWS = {
    "ready_seconds": "apply to everything Ready, s",
    "engine_start_seconds": "  of these, the bare engine, s",
    "adapter_seconds": "one more adapter: apply to first answer, s",
    "rollback_seconds": "roll back under load: patch to first answer of the old version, s",
    "requests": "requests and streams sent meanwhile",
    "failed": "failed",
    "wrong": "answered by wrong weights",
    "broken_streams": "streams broken",
}


def show(figures: Figures, console: Console) -> None:
    """Print the table."""
    table = Table(title="What was measured", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in asdict(figures).items():
        table.add_row(ROWS[name], f"{value:.2f}" if isinstance(value, float) else str(value))
    console.print(table)


def write(figures: Figures, path: Path) -> None:
    """Write the JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    temporary.rename(path)
