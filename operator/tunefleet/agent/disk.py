"""Room for adapters on a pod's disk: what nothing refers to goes when something new needs its place."""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from tunefleet.api.names import digest_hex
from tunefleet.artifacts.disk import partial_bytes, present_versions, remove_version
from tunefleet.artifacts.eviction import Present, evictions
from tunefleet.artifacts.store import no_space

logger = logging.getLogger(__name__)

DIGITS = 8
"""Of a digest in an engine name: enough to keep what an engine may still read."""


class Disk:
    """Keeps the complete versions under one root within a bound. Files that an engine may read are never touched."""

    def __init__(
        self, root: Path, bound: int, referred: Callable[[], Awaitable[Collection[str]]], fresh_seconds: float
    ) -> None:
        """`referred` gives the first DIGITS digits of every digest that someone still needs. What was used within the
        last `fresh_seconds` stays, too: it was looked at, and is about to be asked for."""
        self._root = root
        self._bound = bound
        self._referred = referred
        self._fresh = fresh_seconds
        self._promised: dict[Path, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def make_room(self, partial: Path, size: int) -> None:
        """Let a transfer write `size` more bytes below its directory. Raises ArtifactError(DiskFull)."""
        async with self._one_at_a_time:
            transfers = await asyncio.to_thread(partial_bytes, self._root)
            self._promised = {path: self._promised[path] for path in self._promised.keys() & transfers.keys()}
            self._promised[partial] = transfers.get(partial, 0) + size
            moving = sum((transfers | self._promised).values())
            unwritten = moving - sum(transfers.values())
            try:
                await self._shrink(moving, unwritten)
            except BaseException:
                del self._promised[partial]
                raise

    async def _shrink(self, moving: int, unwritten: int) -> None:
        """`moving`: what transfers will have taken when they are done; `unwritten`: the part that is to come."""
        present = await asyncio.to_thread(present_versions, self._root)
        taken = sum(version.size_bytes for version in present)
        free = shutil.disk_usage(self._root).free
        room = min(self._bound - moving, taken + free - unwritten)
        if taken <= room:
            return
        gone = evictions(present, await self._needed(present), room)
        if taken - sum(version.size_bytes for version in gone) > room:
            raise no_space(
                f"adapters that are in use take {taken} of {self._bound} bytes, {free} bytes are free, and transfers "
                f"need {unwritten} more"
            )
        for version in gone:
            await asyncio.to_thread(remove_version, self._root, version.digest)
            logger.info("evicted %s: %d bytes", version.digest, version.size_bytes)

    async def _needed(self, present: Collection[Present]) -> set[str]:
        referred = set(await self._referred())
        since = time.time() - self._fresh
        return {v.digest for v in present if digest_hex(v.digest)[:DIGITS] in referred or v.used > since}
