"""What every kind of source can do, and reading a file of one in order with some chunks ahead."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import stamina

from tunefleet.api.conditions import Reason

from .errors import ArtifactError, unreadable

CHUNK_BYTES = 8 * 2**20
READ_AHEAD = 4
"""Chunks of one file in flight: 32 MiB in memory, and enough to fill a connection."""
ATTEMPTS = 4
"""Tries for one chunk before the whole transfer is given up, to be resumed later."""


@dataclass(frozen=True)
class RemoteFile:
    """A file directly at a source's place."""

    name: str
    size: int
    """Bytes."""
    sha256: str | None = None
    """Hexadecimal, where the source knows it without a transfer. Never trusted for bytes that are served."""
    revision: str | None = None
    """Changes when the file does: an entity tag, or time and size."""


class Source(Protocol):
    """An opened place: pinned, so that all calls speak of the same bytes or fail. Every method raises ArtifactError."""

    @property
    def uri(self) -> str:
        """The URI with branch, tag or alias resolved to a commit, digest or version."""
        ...

    async def files(self) -> tuple[RemoteFile, ...]:
        """The files directly at the place, whether they count or not."""
        ...

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        """Exactly these bytes of a file, fewer only at its end. Fails when it has changed since it was listed."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class Traced(Protocol):
    """A source that knows where its files come from."""

    @property
    def lineage(self) -> Mapping[str, str]:
        """At most MAX_LINEAGE texts by name, without credentials."""
        ...


async def read_range(source: Source, file: RemoteFile, start: int, length: int) -> bytes:
    """`source.read`, tried again while the error may pass. Raises ArtifactError, also for missing bytes."""
    wanted = min(length, file.size - start)
    async for attempt in stamina.retry_context(on=_may_pass, attempts=ATTEMPTS, timeout=None, wait_max=2.0):
        with attempt:
            data = await source.read(file, start, wanted)
            if len(data) != wanted:
                raise unreadable(f"{file.name}: the source sent {len(data)} bytes instead of {wanted}")
            return data
    raise AssertionError("stamina returns or raises")


async def read_all(source: Source, file: RemoteFile, limit: int) -> bytes:
    """A whole small file. Raises ArtifactError when it is larger than `limit` bytes."""
    if file.size > limit:
        raise ArtifactError(Reason.CONFIG_INVALID, f"{file.name} has {file.size} bytes; at most {limit} are read")
    return await read_range(source, file, 0, file.size)


async def chunks(source: Source, file: RemoteFile, start: int = 0) -> AsyncIterator[bytes]:
    """A file's bytes from `start` in order, READ_AHEAD chunks in flight. Raises ArtifactError."""
    pending: deque[asyncio.Task[bytes]] = deque()
    offsets = iter(range(start, file.size, CHUNK_BYTES))
    try:
        while True:
            while len(pending) < READ_AHEAD and (offset := next(offsets, None)) is not None:
                pending.append(asyncio.ensure_future(read_range(source, file, offset, CHUNK_BYTES)))
            if not pending:
                return
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, ArtifactError) and error.transient
