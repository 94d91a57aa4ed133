"""The open client connections of a server, and a way to wait for the last of them."""

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Connections(Generic[T]):
    """Every open client connection."""

    def __init__(self) -> None:
        self._open: set[T] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, connection: T) -> None:
        """One more."""
        self._open.add(connection)
        self._none.clear()

    def discard(self, connection: T) -> None:
        """One less."""
        self._open.discard(connection)
        if not self._open:
            self._none.set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._open))

    async def all_gone(self) -> None:
        """Wait until there is none."""
        await self._none.wait()
