"""The soak's clients: several kinds, each with workers that ask again and again, and note what came of it."""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from .accounting import ANSWERED, BROKEN, LEFT, REFUSED, UNANSWERED, Sent
from .bodies import request
from .client import BrokenOffError, Client, connected
from .objects import served_name

FIRST_PARTS = 3
"""Parts of an answer that a client reads before it leaves."""
SLOW_SECONDS = 0.01
"""That a slow reader takes for one event."""


@dataclass(frozen=True)
class Kind:
    """What a worker does."""

    name: str
    workers: int
    pause: float
    """Seconds between its requests, on average."""
    models: range
    """Numbers of the adapters that it asks for."""
    key: str
    max_tokens: int = 16
    delay_ms: int = 0
    """Between the events of a stream; only with `stream`."""
    stream: bool = False
    leaves: bool = False
    """Goes away after FIRST_PARTS, or at once when nothing came."""
    slow: bool = False
    expected: tuple[int, ...] = ()
    """Statuses besides 2xx that are right for it."""
    model: str = ""
    """Instead of `models`."""


@dataclass
class Traffic:
    """All workers against one port."""

    port: int
    kinds: tuple[Kind, ...]
    sent: list[Sent] = field(default_factory=list)
    stopping: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Ask until `stopping` is set and what runs then has ended."""
        async with asyncio.TaskGroup() as group:
            for kind in self.kinds:
                for number in range(kind.workers):
                    group.create_task(self._work(kind, random.Random(f"{kind.name} {number}")))  # noqa: S311

    async def _work(self, kind: Kind, dice: random.Random) -> None:
        """One worker; its connection is kept as long as it can be."""
        while not self.stopping:
            async with connected(self.port, narrow=kind.slow) as client:
                while client.usable and not self.stopping:
                    await asyncio.sleep(dice.expovariate(1 / kind.pause))
                    if client.usable and not await self._ask(kind, client, dice):
                        break

    async def _ask(self, kind: Kind, client: Client, dice: random.Random) -> bool:
        """One request; whether another may follow on the connection."""
        number, began = f"soak-{next(self._numbers)}", time.monotonic()
        result, status, parts = UNANSWERED, 0, 0
        try:
            status, _ = await client.begin(_request(kind, number, dice))
            result = BROKEN
            async for _ in client.parts():
                parts += 1
                if kind.slow:
                    await asyncio.sleep(SLOW_SECONDS)
                if kind.leaves and parts == FIRST_PARTS:
                    result = LEFT
                    break
            else:
                result = ANSWERED if status < 300 else REFUSED
        except BrokenOffError:
            pass
        self.sent.append(Sent(number, kind.name, result, status, began, time.monotonic(), kind.expected, parts))
        return result in (ANSWERED, REFUSED)


def _request(kind: Kind, request_id: str, dice: random.Random) -> bytes:
    model = kind.model or served_name(dice.choice(kind.models))
    question = f"delay_ms={kind.delay_ms} question {dice.randrange(1000)}: what now?"
    messages = [{"role": "user", "content": question}]
    body = {"model": model, "messages": messages, "max_tokens": kind.max_tokens, "stream": kind.stream}
    return request(json.dumps(body).encode(), kind.key, f"x-request-id: {request_id}\r\n".encode())
