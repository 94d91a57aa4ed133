"""Several workers on one public port: a parent that starts them, starts them again, and ends them together.

Each worker is a whole gateway of its own. The kernel deals out connections among those that listen (SO_REUSEPORT), so
the parent touches no request. It binds to the port without listening, so that one that is taken is told at once.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LAST_PAUSE = 30.0
"""Seconds before a worker that ended is started again; twice as long each time, until one has run for LAST_PAUSE."""
KILL_SECONDS = 10.0
"""A worker that has not ended so long after its drain is killed."""


class NeverAnsweredError(Exception):
    """A worker ended by itself before it answered once: it would do so again."""


class Worker:
    """One process, started again whenever it ends."""

    def __init__(self, command: Sequence[str], socket: Path) -> None:
        self._command = command
        self.socket = socket
        """Where its admin port is."""
        self.starts = 0
        self.answered = False
        """Its admin port did, once: from then on its end is an accident."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Keep it running until cancelled. Raises NeverAnsweredError."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            started = loop.time()
            status = await self._once()
            if not self.answered and status >= 0:  # by a signal: whoever sent it, it was not the settings' fault
                raise NeverAnsweredError(f"a worker ended with status {status} before it served")
            pause = FIRST_PAUSE if loop.time() - started >= LAST_PAUSE else pause
            log.error("worker %s ended with status %d; it starts again in %g s", self.socket.stem, status, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    async def _once(self) -> int:
        self.socket.unlink(missing_ok=True)
        self.starts += 1
        # A worker ends when its standard input does, so none outlives a parent that was killed.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, "--worker-socket", str(self.socket), stdin=asyncio.subprocess.PIPE
        )
        try:
            return await self._process.wait()
        finally:
            if self._process.returncode is not None:
                self._process = None

    async def end(self, seconds: float) -> None:
        """Let it drain for so long, then kill it."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            log.error("worker %s did not end in %g s and is killed", self.socket.stem, seconds)
            process.kill()
            await process.wait()


class Workers:
    """All of them."""

    def __init__(self, count: int, command: Sequence[str], directory: Path) -> None:
        self.all = tuple(Worker(command, directory / f"{number}.sock") for number in range(count))
        self.draining = False

    async def run(self) -> None:
        """Keep all running until cancelled. Raises NeverAnsweredError in an ExceptionGroup."""
        async with asyncio.TaskGroup() as group:
            for worker in self.all:
                group.create_task(worker.run())

    async def end(self, drain_seconds: float) -> None:
        """Let all drain at once, and wait until they have ended."""
        self.draining = True
        await asyncio.gather(*[worker.end(drain_seconds + KILL_SECONDS) for worker in self.all])
