"""How far a transfer is, for people: percent in the agent's report, lines on a container's log."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Report = Callable[["Progress"], None]
"""Called after every chunk."""


@dataclass
class Progress:
    """Bytes of one version, out of all of its files that count."""

    total: int
    done: int = 0
    report: Report = field(default=lambda _: None, repr=False)

    def add(self, count: int) -> None:
        """Count bytes that arrived, and tell."""
        self.done += count
        self.report(self)

    @property
    def percent(self) -> int:
        """0 to 100, rounded down: 100 means every byte."""
        return 100 * self.done // self.total if self.total else 100


@dataclass
class LogLines:
    """Prints `TITLE  42% (12.3 of 29.1 MiB)`, at most once in `seconds` and once at the end."""

    title: str
    seconds: float = 1.0
    _last: float = field(default=float("-inf"), init=False)

    def __call__(self, progress: Progress) -> None:
        """Take a report."""
        now = time.monotonic()
        if progress.done < progress.total and now - self._last < self.seconds:
            return
        self._last = now
        mib = f"{progress.done / 2**20:.1f} of {progress.total / 2**20:.1f} MiB"
        print(f"{self.title}  {progress.percent:3d}% ({mib})", flush=True)
