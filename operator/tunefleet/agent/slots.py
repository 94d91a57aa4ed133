"""How many adapters the engine may hold at once."""

import asyncio


class Slots:
    """Room for names. Without a capacity there is always room."""

    def __init__(self, capacity: int | None) -> None:
        self._capacity = capacity
        self._taken: set[str] = set()
        self._leaving: set[str] = set()
        self._freed = asyncio.Condition()

    def take(self, name: str) -> bool:
        """Take room for a name, or keep what it has. False when all is taken."""
        if name not in self._taken and self._capacity is not None and len(self._taken) >= self._capacity:
            return False
        self._taken.add(name)
        self._leaving.discard(name)
        return True

    def leave(self, name: str) -> None:
        """A name will free its room, as soon as its last requests have ended."""
        self._leaving |= self._taken & {name}

    @property
    def leaving(self) -> int:
        """How many will."""
        return len(self._leaving)

    async def wait_and_take(self, name: str) -> None:
        """Take room as soon as there is some."""
        async with self._freed:
            await self._freed.wait_for(lambda: self.take(name))

    async def free(self, name: str) -> None:
        """Give the room back."""
        self._taken.discard(name)
        self._leaving.discard(name)
        async with self._freed:
            self._freed.notify_all()
