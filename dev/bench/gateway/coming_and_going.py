"""The soak's engines: processes that are killed, started again and drained, and objects that change meanwhile."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tunefleet.api.names import ENGINE_PORT

from . import objects
from .accounting import Kill
from .control_plane import ControlPlane
from .native import program

DOWN_SECONDS = 1.5
"""From an engine's death to the next start."""
NOTICE_SECONDS = 0.5
"""From an engine's death to its agent saying so."""
DRAIN_SECONDS = 4.0
"""From a pod's deletion to the end of its engine: longer than any answer of the soak takes."""
ASLEEP_SECONDS = 2.0


@dataclass
class Place:
    """An address at which one pod after another runs an engine."""

    address: str
    held: list[tuple[int, int]]
    """Numbers and versions of the adapters there."""
    pod: str = ""
    process: asyncio.subprocess.Process | None = None


@dataclass
class Fleet:
    """All engines, and what was done to them."""

    plane: ControlPlane
    places: Sequence[Place]
    changing: range
    """Adapters whose version in use changes."""
    sleeping: range
    """Adapters that are taken away and brought back."""
    kills: list[Kill] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    """How often what was done."""
    _pods: Iterator[int] = field(default_factory=itertools.count)
    _dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311

    async def disturb(self, pause: float, stopping: Callable[[], bool]) -> None:
        """One thing after another until it shall stop; everything is whole again in the end."""
        turns = itertools.cycle((self.promote, self.kill, self.promote, self.let_sleep, self.promote, self.drain))
        while not stopping():
            await asyncio.sleep(pause)
            turn = next(turns)
            await turn()
            self.done[turn.__name__] = self.done.get(turn.__name__, 0) + 1

    async def kill(self) -> None:
        """An engine dies and is started again; its agent notices after a while."""
        place = self._dice.choice(self.places)
        assert place.process is not None
        self.kills.append(Kill(f"{objects.NAMESPACE}/{place.pod}", time.monotonic()))
        place.process.kill()
        await place.process.wait()
        await asyncio.sleep(NOTICE_SECONDS)
        self._publish(place, ready=False)
        await asyncio.sleep(DOWN_SECONDS - NOTICE_SECONDS)
        await self._start(place)
        self._publish(place)

    async def drain(self) -> None:
        """A pod is deleted, works off what it has, and another one comes to its place."""
        place = self._dice.choice(self.places)
        assert place.process is not None
        leaving = objects.pod(place.pod, place.address)
        leaving["metadata"]["deletionTimestamp"] = objects.CREATED
        self.plane.api.put("Pod", leaving)
        await asyncio.sleep(DRAIN_SECONDS)
        place.process.terminate()
        await place.process.wait()
        self.plane.api.delete("Pod", place.pod)
        self._publish(place, ready=False)
        await self.come(place)

    async def come(self, place: Place) -> None:
        """A new pod with an engine that is ready."""
        place.pod = f"engine-{next(self._pods)}"
        await self._start(place)
        self.plane.api.put("Pod", objects.pod(place.pod, place.address))
        self._publish(place)

    async def promote(self) -> None:
        """Half of the adapters that change get another version in use."""
        for number in self._dice.sample(self.changing, len(self.changing) // 2):
            self.plane.api.put("LoRAAdapter", objects.adapter(number, self._dice.choice((1, 2)), (1, 2)))

    async def let_sleep(self) -> None:
        """The adapters that sleep are nowhere for a while; who asks for them waits."""
        before = {place.address: place.held for place in self.places}
        for place in self.places:
            place.held = [one for one in place.held if one[0] not in self.sleeping]
            self._publish(place)
        await asyncio.sleep(ASLEEP_SECONDS)
        for place in self.places:
            place.held = before[place.address]
            self._publish(place)

    async def _start(self, place: Place) -> None:
        place.process = await asyncio.create_subprocess_exec(program("upstream"), str(ENGINE_PORT), place.address)
        while place.process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(place.address, ENGINE_PORT)
            except ConnectionError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
        raise RuntimeError(f"an engine cannot listen on {place.address}:{ENGINE_PORT}")

    def _publish(self, place: Place, *, ready: bool = True) -> None:
        self.plane.agents[place.address].publish(place.held, ready=ready)


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[Fleet]:
    """Every place with its first pod, until the block ends."""
    try:
        for place in fleet.places:
            await fleet.come(place)
        yield fleet
    finally:
        for place in fleet.places:
            if place.process is not None and place.process.returncode is None:
                place.process.kill()
                await place.process.wait()
