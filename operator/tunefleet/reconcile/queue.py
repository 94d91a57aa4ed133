"""The work queue: keys, not events. What a key means is decided anew from the present state each time.

- A key waits at most once, however often it is added.
- A key is worked on by one worker at a time; added meanwhile, it runs once more afterwards.
- A key that fails waits 0.1 s, then twice as long each time, up to a minute, while other keys go on. Being added
  ends the wait, not the count: who mends the cause need not wait for the minute to pass.
- A key may ask to run again after some seconds; any earlier run makes that void, because it asks anew.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from tunefleet.kube.fence import LeadershipLostError

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF = 0.1
LAST_BACKOFF = 60.0


class ExpectedError(Exception):
    """Something failed that is worth a line in the log and another try, but no traceback."""


def words(error: BaseException) -> str:
    """What an error says; a time-out says nothing, so its name must do."""
    return str(error) or type(error).__name__


class QueueObserver(Protocol):
    """Is told what the queue does, for metrics."""

    def waited(self, seconds: float) -> None:
        """A key waited so long for a worker."""

    def finished(self, key: Hashable, seconds: float, error: Exception | None) -> None:
        """A key was worked on for so long."""


class WorkQueue(Generic[K]):
    """Runs `handle(key)` for each added key; it returns seconds until it wants to run again, or None."""

    def __init__(
        self, handle: Callable[[K], Awaitable[float | None]], observer: QueueObserver, *, workers: int = 4
    ) -> None:
        self._handle = handle
        self._observer = observer
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[K] = deque()
        self._since: dict[K, float] = {}
        """Loop time since which a key waits."""
        self._running: dict[K, float] = {}
        """Loop time since which a key is worked on."""
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._ready = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._stopping = False

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._waiting)

    @property
    def oldest_running(self) -> float:
        """Seconds for which the slowest key has been worked on; zero when none is."""
        return self._loop.time() - min(self._running.values()) if self._running else 0.0

    def add(self, key: K) -> None:
        """Work on this key soon."""
        if self._stopping or key in self._since:
            return
        if key in self._running:
            self._again.add(key)
            return
        self._since[key] = self._loop.time()
        self._waiting.append(key)
        self._quiet.clear()
        self._ready.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Work on this key in so many seconds, unless it was asked for sooner."""
        when = self._loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = self._loop.call_at(when, self._due, key)

    async def idle(self) -> None:
        """Wait until no key is worked on or waits for a worker. Those that wait for a time do not count."""
        await self._quiet.wait()

    async def run(self) -> None:
        """Work until stopped. Raises LeadershipLostError, and what is a fault of the queue itself."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"queue worker {number}")

    def stop(self) -> None:
        """Take no more keys; `run` returns when those being worked on are finished."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._since.clear()
        self._ready.set()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        while (key := await self._next()) is not None:
            try:
                await self._attempt(key)
            finally:
                self._done(key)

    async def _next(self) -> K | None:
        """The next key, now running; None when the queue has stopped."""
        while not self._waiting:
            if self._stopping:
                return None
            self._ready.clear()
            await self._ready.wait()
        key = self._waiting.popleft()
        now = self._loop.time()
        self._observer.waited(now - self._since.pop(key))
        self._running[key] = now
        if timer := self._timers.pop(key, None):
            timer.cancel()
        return key

    async def _attempt(self, key: K) -> None:
        try:
            again = await self._handle(key)
        except LeadershipLostError:
            raise
        except Exception as error:
            self._failed(key, error)
        else:
            self._failures.pop(key, None)
            self._observer.finished(key, self._loop.time() - self._running[key], None)
            if again is not None:
                self.add_after(key, again)

    def _failed(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 16))
        if isinstance(error, ExpectedError):
            log.info("%s: %s; again in %.1f s", key, error, wait)
        else:
            log.error("%s: again in %.1f s", key, wait, exc_info=error)
        self._observer.finished(key, self._loop.time() - self._running[key], error)
        self.add_after(key, wait)

    def _done(self, key: K) -> None:
        del self._running[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        if not self._running and not self._waiting:
            self._quiet.set()
