"""Writes that stop in time: none is sent once another process may have begun to write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

WRITE_SECONDS = 10.0
"""Longest time that one write may take."""


class LeadershipLostError(Exception):
    """This process may not write any more: its Lease was not renewed in time."""


class Fence(Protocol):
    """Says whether this process may still write."""

    def remaining(self) -> float:
        """Seconds for which writing is allowed; zero or less when it is not."""


class Unfenced:
    """For tools that act alone."""

    def remaining(self) -> float:
        """Always."""
        return WRITE_SECONDS


@asynccontextmanager
async def write_allowed(fence: Fence, on_write: Callable[[], None]) -> AsyncIterator[None]:
    """Around one write. `on_write` is called when it is about to be sent.

    The write is given up before another process may begin to write, so a slow one cannot land after theirs.
    Raises LeadershipLostError when writing is not allowed any more, TimeoutError when it took too long.
    """
    remaining = fence.remaining()
    if remaining <= 0:
        raise LeadershipLostError("the Lease was not renewed in time; nothing is written any more")
    on_write()
    async with asyncio.timeout(min(WRITE_SECONDS, remaining)):
        yield
