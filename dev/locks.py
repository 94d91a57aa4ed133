"""One process at a time, across processes: a lock that the kernel frees when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.steps import step


@contextmanager
def alone(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock at `path` during the block; while another process holds it, show `waiting`. Not reentrant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(waiting):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
