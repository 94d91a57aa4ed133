"""What this agent has loaded into which engine start, on the disk: an agent that restarts finds its adapters loaded.

Without it "already loaded" could mean anything, and the only safe answer, unload and load again, would fail the
requests of that moment.
"""

import json
from pathlib import Path

from .engine_watch import EngineStart
from .files import write_atomically


class Registry:
    """Engine names loaded by agents of this pod in one engine start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started, self._names = _read(path)

    @property
    def names(self) -> frozenset[str]:
        """All that were loaded in the engine start that was seen last."""
        return frozenset(self._names)

    def holds(self, start: EngineStart, name: str) -> bool:
        """Whether the adapter was loaded by an agent of this pod in this engine start."""
        return self._started == start.started and name in self._names

    def remembers(self, name: str) -> bool:
        """Whether it was loaded in the engine start that was seen last, be that over or not."""
        return name in self._names

    def add(self, start: EngineStart, name: str) -> None:
        """Remember a load. An entry of another engine start makes the former ones void."""
        if self._started != start.started:
            self._started, self._names = start.started, set()
        self._names.add(name)
        self._write()

    def remove(self, name: str) -> None:
        """Forget one that was unloaded."""
        if name in self._names:
            self._names.discard(name)
            self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps({"started": self._started, "names": sorted(self._names)}))


def _read(path: Path) -> tuple[float | None, set[str]]:
    try:
        document = json.loads(path.read_text())
        return float(document["started"]), {str(name) for name in document["names"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None, set()
