"""What is measured: CPU time a request and an event, added latency, memory. One sample is one contender under one load.

CPU time is that of the process tree, user and system, and with it what the kernel does for its sockets. Contenders take
turns within each round, and each round begins with another one, so that what else the machine does meets all alike.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tunefleet.api.names import ENGINE_PORT

from .bodies import EVENTS
from .contenders import ENGINES, OURS, Contender, Field
from .native import Load, Outcome, held_open, send
from .processes import in_real_time

REQUESTS_A_SECOND = 1000.0
LATENCY_CONNECTIONS = 64
IDLE = 10_000
IDLE_SLOW = 1_000
"""Connections to a contender that would take minutes for one request on each of IDLE."""
SETTLE_SECONDS = 0.3
DIRECT = "direct"
FRESH = "ours, new request ids"
"""Our gateway remembers heads that it has seen; with an id of its own each head is new."""


@dataclass(frozen=True)
class Point:
    """One load."""

    name: str
    file: str
    """Of bodies.Files."""
    connections: int
    streams: bool = False
    rate: float = 0.0
    """Requests a second; 0: as many as go."""


EVEN = "even"
"""Every contender has the same to do, and time to sleep in between."""
POINTS = (
    Point("c1", "plain", 1),
    Point("c32", "plain", 32),
    Point("c128", "plain", 128),
    Point(EVEN, "plain", 32, rate=5000),
    Point("paced", "paced", 64, streams=True),
    Point("unpaced", "unpaced", 64, streams=True),
)
FEW = 4
"""Connections to a slow contender: more would only wait."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one sample."""
    latency_rounds: int
    latency_seconds: float


@dataclass(frozen=True)
class Sample:
    """One contender under one load."""

    name: str
    point: str
    streams: bool
    cpu_seconds: float
    outcome: Outcome

    @property
    def micros(self) -> float:
        """CPU time a request, or an event of a stream: whichever the load is made of, in microseconds."""
        count = self.outcome.events if self.streams else self.outcome.ok
        return self.cpu_seconds / count * 1e6 if count else float("nan")

    @property
    def whole(self) -> bool:
        """Everything was answered 2xx, and to its end."""
        return not self.outcome.faults and (not self.streams or self.outcome.events >= self.outcome.ok * (EVENTS + 1))


@dataclass(frozen=True)
class Latency:
    """One contender at REQUESTS_A_SECOND; DIRECT is the engine alone."""

    name: str
    round: int
    outcome: Outcome


@dataclass(frozen=True)
class Memory:
    """Of one contender, bytes."""

    name: str
    after_load: int
    idle: int
    """While `connections` are open that were used once."""
    connections: int


async def samples(field: Field, effort: Effort, console: Console) -> list[Sample]:
    """Every contender under every load, so many rounds."""
    found = []
    for number in range(effort.rounds):
        for contender, fresh in _turn(field.contenders, number):
            points = [point for point in _points(fresh) if not _skipped(contender, point, number)]
            taken = [await _sample(field, contender, point, effort.seconds, fresh) for point in points]
            if not taken:
                continue
            found += taken
            figures = "  ".join(f"{sample.point} {sample.micros:.1f}{'' if sample.whole else '!'}" for sample in taken)
            console.print(f"[dim]round {number + 1}/{effort.rounds}[/] {taken[0].name:24} {figures}", highlight=False)
    return found


def _turn(contenders: Sequence[Contender], number: int) -> list[tuple[Contender, bool]]:
    """Whose turn it is, and whether with new request ids."""
    start = number % max(len(contenders), 1)
    turn = [*contenders[start:], *contenders[:start]]
    return [(one, fresh) for one in turn for fresh in ((False, True) if one.name == OURS else (False,))]


def _points(fresh: bool) -> tuple[Point, ...]:
    return tuple(point for point in POINTS if not (fresh and point.streams))


def _skipped(contender: Contender, point: Point, number: int) -> bool:
    """What would take long and say little."""
    return contender.slow and (number > 1 or point.rate > 0)


async def _sample(field: Field, contender: Contender, point: Point, seconds: float, fresh: bool) -> Sample:
    path: Path = field.files.fresh if fresh else getattr(field.files, point.file)
    connections = min(point.connections, FEW) if contender.slow else point.connections
    await asyncio.sleep(SETTLE_SECONDS)
    before = contender.process.cpu_seconds()
    load = Load(path, connections, point.rate, fresh_ids=fresh)
    outcome = await send(load, contender.port, seconds, field.cores.others)
    used = contender.process.cpu_seconds() - before
    return Sample(FRESH if fresh else contender.name, point.name, point.streams, used, outcome)


async def latencies(field: Field, effort: Effort, console: Console) -> list[Latency]:
    """At a constant rate; the engine alone in each round too."""
    assert field.engine is not None
    measured = [contender for contender in field.contenders if not contender.slow]
    targets = [(DIRECT, ENGINE_PORT, ENGINES[0]), *((one.name, one.port, "127.0.0.1") for one in measured)]
    load = Load(field.files.plain, LATENCY_CONNECTIONS, REQUESTS_A_SECOND)
    found = []
    with in_real_time(field.engine, *(one.process for one in measured)):
        for number in range(effort.latency_rounds):
            turn = []
            for name, port, address in targets:
                outcome = await send(load, port, effort.latency_seconds, field.cores.others, address)
                turn.append(Latency(name, number, outcome))
            told = "  ".join(f"{one.name} {one.outcome.p99 * 1e3:.2f}" for one in turn)
            console.print(f"[dim]p99 at {REQUESTS_A_SECOND:.0f}/s, ms[/] {told}", highlight=False)
            found += turn
    return found


async def memory(field: Field, console: Console) -> list[Memory]:
    """After everything else."""
    found = []
    for contender in field.contenders:
        connections = IDLE_SLOW if contender.slow else IDLE
        before = contender.process.rss_bytes()
        try:
            async with held_open(Load(field.files.plain, connections), contender.port, field.cores.others):
                await asyncio.sleep(1)
                idle = contender.process.rss_bytes()
        except (TimeoutError, RuntimeError) as error:
            console.print(f"{contender.name} does not hold {connections} connections: {error}")
            continue
        found.append(Memory(contender.name, before, idle, connections))
    return found
