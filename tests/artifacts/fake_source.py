"""A source in memory whose faults a test chooses."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tunefleet.artifacts.errors import ArtifactError, unreadable
from tunefleet.artifacts.source import RemoteFile


@dataclass
class MemorySource:
    """Files in memory. `fault` may raise for a read, `gate` may hold reads back."""

    contents: dict[str, bytes]
    uri: str = "s3://bucket/model"
    fault: Callable[[str, int], None] = lambda _name, _start: None
    gate: asyncio.Event | None = None
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first read."""
    reads: list[tuple[str, int]] = field(default_factory=list)

    async def files(self) -> tuple[RemoteFile, ...]:
        return tuple(RemoteFile(name, len(content)) for name, content in sorted(self.contents.items()))

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        self.reads.append((file.name, start))
        self.reading.set()
        if self.gate is not None:
            await self.gate.wait()
        self.fault(file.name, start)
        return self.contents[file.name][start : start + length]

    async def close(self) -> None:
        return


def fails_from(offset: int, error: ArtifactError | None = None) -> Callable[[str, int], None]:
    """A fault: reads at or after the offset fail."""

    def fault(name: str, start: int) -> None:
        if start >= offset:
            raise error or unreadable("the line was cut")

    return fault
