"""Writes audit lines to standard output or to a file, in a thread of its own: a disk or a pipe may stall."""

import logging
import os
import queue
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

STDOUT = "stdout"
CLOSE_SECONDS = 5.0
"""How long a process that ends waits for what is still to be written."""
LOOK_SECONDS = 1.0
"""How often it is seen whether the file was moved."""
_ATOMIC = 4096
"""Bytes that a pipe takes in one piece (PIPE_BUF): lines of several processes do not mix."""
_MODE = 0o640


class AuditWriter:
    """One destination."""

    def __init__(self, destination: str) -> None:
        """STDOUT, or a path. Raises OSError when it cannot be opened."""
        self._path = None if destination == STDOUT else Path(destination)
        self._file = 1 if self._path is None else _open(self._path)
        self._plain = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._batches: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._given = self._done = self._failed = self._told = 0
        self._reopen = self._torn = self._complained = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Lines that are not written yet."""
        return self._given - self._done

    def write(self, lines: list[bytes]) -> None:
        """Soon; never waits."""
        self._given += len(lines)
        self._batches.put(lines)

    def take_failed(self) -> int:
        """Lines lost since this was asked last."""
        failed = self._failed
        lost, self._told = failed - self._told, failed
        return lost

    def reopen(self) -> None:
        """Soon go on in a new file, if it is one."""
        self._reopen = True

    def close(self) -> int:
        """Write what is queued, for CLOSE_SECONDS at most. Returns how many lines were lost since that was asked."""
        self._batches.put(None)
        self._thread.join(CLOSE_SECONDS)
        return self.take_failed() + (self.queued if self._thread.is_alive() else 0)

    # --- in the thread

    def _run(self) -> None:
        while True:
            try:
                lines = self._batches.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._follow()
                continue
            if lines is None:
                break
            self._follow()
            self._write(lines)
        if self._path is not None:
            os.close(self._file)

    def _write(self, lines: list[bytes]) -> None:
        written = 0
        try:
            for group in [lines] if self._plain else _small(lines):
                self._put(b"\n".join(group) + b"\n")
                written += len(group)
            self._complained = False
        except OSError as error:
            self._failed += len(lines) - written
            if not self._complained:
                self._complained = True
                log.warning("audit lines are lost: %s", error)
        self._done += len(lines)

    def _put(self, data: bytes) -> None:
        if self._torn:  # a disk that was full may have taken half a line
            os.write(self._file, b"\n")
            self._torn = False
        while data:
            taken = os.write(self._file, data)
            self._torn = taken < len(data)
            data = data[taken:]

    def _follow(self) -> None:
        """Open the path anew when there is another file now, or none, or when somebody asked."""
        if self._path is None or not (self._reopen or self._moved(self._path)):
            return
        self._reopen = False
        try:
            fresh = _open(self._path)
        except OSError as error:  # go on in the old one
            log.warning("cannot reopen the audit file: %s", error)
            return
        os.close(self._file)
        self._file, self._torn = fresh, False

    def _moved(self, path: Path) -> bool:
        try:
            return not os.path.samestat(path.stat(), os.fstat(self._file))
        except OSError:
            return True


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)


def _small(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Groups of lines that a pipe takes whole."""
    group: list[bytes] = []
    size = 0
    for line in lines:
        if group and size + len(line) >= _ATOMIC:
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line) + 1
    if group:
        yield group
