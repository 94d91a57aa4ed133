"""Is this process alive, and does it see what happens?

A process whose watches died looks alive and does nothing. So the Lease's renewals, which the leader writes anyway,
must come back to it through kopf's own watch; and each watch must still have its task.
"""

import asyncio
from collections.abc import Callable

HEARTBEAT_SECONDS = 30.0
"""A renewal comes every few seconds; it must be seen within this."""
START_SECONDS = 60.0
"""From taking the Lease to having listed everything."""
STUCK_SECONDS = 120.0
"""No decision with all its writes takes this long: each write has a time-out of ten seconds."""
WATCHER_PREFIX = "watcher for "
"""How kopf names the tasks of its watches."""


class Health:
    """What the process knows about itself; times are of the event loop."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self.leading_since: float | None = None
        self.synced = asyncio.Event()
        """Set when everything is listed."""
        self.watchers = 0
        """Watches that must be alive."""
        self.oldest_running: Callable[[], float] = lambda: 0.0
        self._beat = float("-inf")

    def lead(self, watchers: int, oldest_running: Callable[[], float]) -> None:
        """This process holds the Lease now, and opens so many watches."""
        self.leading_since = self._clock()
        self.watchers = watchers
        self.oldest_running = oldest_running

    def beat(self) -> None:
        """Our own Lease came back through the watch."""
        self._beat = self._clock()
        self.synced.set()

    @property
    def ready(self) -> bool:
        """Acting on everything there is, or ready to take over."""
        return self.leading_since is None or self.synced.is_set()

    def problems(self, watchers_alive: int) -> list[str]:
        """Why this process should be restarted; empty when it should not."""
        if self.leading_since is None:
            return []
        if not self.synced.is_set():
            late = self._clock() - self.leading_since > START_SECONDS
            return [f"not everything was listed within {START_SECONDS:.0f} s"] if late else []
        silent = self._clock() - self._beat
        stuck = self.oldest_running()
        found = (
            (silent > HEARTBEAT_SECONDS, f"the Lease was last seen through the watch {silent:.0f} s ago"),
            (watchers_alive < self.watchers, f"{watchers_alive} of {self.watchers} watches are alive"),
            (stuck > STUCK_SECONDS, f"one decision has been carried out for {stuck:.0f} s"),
        )
        return [words for wrong, words in found if wrong]


def watchers_alive() -> int:
    """Tasks of kopf's watches in this event loop."""
    return sum(task.get_name().startswith(WATCHER_PREFIX) and not task.done() for task in asyncio.all_tasks())
