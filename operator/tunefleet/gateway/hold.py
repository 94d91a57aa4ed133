"""Requests that wait for an engine: their model is known, and none can answer at the moment.

It sleeps and is being woken, its pod starts or restarts, or the pod was killed and took no connection. Such a request
has not run anywhere, so it can go as soon as an engine may answer: after a new table, or a sign of life. Tenants
take turns, each with its first come first, and not all go in one instant: a pod that has just come back gets RELEASE of
them at a time.

Waiting is bounded: in time, in requests for one name and for all, and in bytes. Whoever leaves makes room. Where a
queue is full, the tenant with the most requests in it makes room for one that has fewer.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import RouteTable

from .series import Counters, count

RELEASE = 32
"""Requests that one pass sends to one pod."""
PAUSE_SECONDS = 0.02
"""Between two passes, so that counts in flight and the table can say better where the next should go."""

Outcome = Literal["sent", "expired", "left", "refused"]


@dataclass(frozen=True)
class HoldLimits:
    """What may wait."""

    seconds: float = 30.0
    """A request's time in the queue, all its waits together. 0: none waits."""
    requests: int = 1000
    """Of all models."""
    per_model: int = 256
    """Of one served name, its exact versions included."""
    bytes: int = 64 * 1024 * 1024
    """Of the requests' bodies, all together."""
    comment_seconds: float = 0.0
    """How often a stream that waits gets a comment, its answer then begins before an engine is known. 0: never."""


class Waiting(Protocol):
    """A request that waits."""

    @property
    def served_name(self) -> str:
        """Of the model that it asks for."""

    @property
    def size(self) -> int:
        """Of its body, in bytes."""

    @property
    def tenant(self) -> str:
        """Whose request it is."""

    def give_way(self) -> None:
        """Leave the queue, to somebody who has fewer requests in it."""

    def comfort(self) -> None:
        """It waits on: tell the client so, should it be a stream."""

    def try_again(self, table: RouteTable, avoid: Collection[Key], *, alive: bool) -> Key | None:
        """Leave the queue and go to a pod now, which one is returned; None when there is still none.

        To none of `avoid`; with `alive` to none that refused its last connection.
        """


class Hold:
    """The queues, one for each served name."""

    def __init__(self, limits: HoldLimits, clock: Callable[[], float], counters: Counters) -> None:
        self._limits = limits
        self._clock = clock
        self._counters = counters
        self._queues: dict[str, OrderedDict[Waiting, float]] = {}
        self._bytes = 0
        self._table = RouteTable()
        self._pass: asyncio.TimerHandle | None = None
        self._comforted = clock()
        self.requests = 0
        """That wait now."""

    def join(self, request: Waiting, since: float | None = None) -> float | None:
        """Wait. Until when, on the clock that was given; None when there is no room or no time left.

        `since`: when it began to wait for the first time; whoever waited already goes to the head of the queue.
        """
        now = self._clock()
        until = (now if since is None else since) + self._limits.seconds
        if until <= now:
            return None
        if since is None and not self._has_room(request):
            count(self._counters.held_outcomes, "refused")
            return None
        queue = self._queues.setdefault(request.served_name, OrderedDict())
        queue[request] = now
        queue.move_to_end(request, last=since is None)
        self._count(1, request.size)
        return until

    def leave(self, request: Waiting, outcome: Outcome) -> None:
        """It waits no more."""
        queue = self._queues[request.served_name]
        joined = queue.pop(request)
        if not queue:
            del self._queues[request.served_name]
        self._count(-1, -request.size)
        self._counters.held_seconds.observe(self._clock() - joined)
        count(self._counters.held_outcomes, outcome)

    @property
    def holds(self) -> bool:
        """Whether requests may wait at all."""
        return self._limits.seconds > 0

    def waiting(self) -> dict[str, int]:
        """Requests that wait, by served name."""
        return {name: len(queue) for name, queue in self._queues.items()}

    def follow(self, table: RouteTable) -> None:
        """Where models go has changed."""
        self._table = table
        self.release()

    def release(self) -> None:
        """Something has changed for the better: soon send what can go."""
        if self.requests and self._pass is None:
            self._pass = asyncio.get_running_loop().call_later(0, self._send_some)

    def comfort(self) -> None:
        """About once a second: a word to streams that have waited for so long again."""
        seconds = self._limits.comment_seconds
        if not seconds or not self.requests or self._clock() - self._comforted < seconds:
            return
        self._comforted = self._clock()
        for request in [request for queue in self._queues.values() for request in queue]:
            request.comfort()

    def probe(self) -> None:
        """Once in a while: the first of each queue tries even pods that refused their last connection."""
        for queue in list(self._queues.values()):
            next(iter(queue)).try_again(self._table, (), alive=False)

    def _send_some(self) -> None:
        self._pass = None
        sent: Counter[Key] = Counter()
        full: set[Key] = set()
        for request in [request for queue in self._queues.values() for request in in_turns(queue)]:
            pod = request.try_again(self._table, full, alive=True)
            if pod is not None:
                sent[pod] += 1
                if sent[pod] == RELEASE:
                    full.add(pod)
        if full and self.requests:
            self._pass = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._send_some)

    def _has_room(self, request: Waiting) -> bool:
        """Whether one more may wait; perhaps because another one gave way."""
        limits, queue = self._limits, self._queues.get(request.served_name)
        if self._bytes + request.size > limits.bytes:
            return False
        if self.requests < limits.requests and (queue is None or len(queue) < limits.per_model):
            return True
        last = last_of_the_greediest(queue or (), request.tenant)
        if last is None:
            return False
        last.give_way()
        return True

    def _count(self, requests: int, size: int) -> None:
        self.requests += requests
        self._bytes += size
        self._counters.held = self.requests


def in_turns(queue: Iterable[Waiting]) -> list[Waiting]:
    """One request of each tenant, then another one of each, and so on; those of one tenant in their order."""
    turns: Counter[str] = Counter()
    placed: list[tuple[int, Waiting]] = []
    for request in queue:
        placed.append((turns[request.tenant], request))
        turns[request.tenant] += 1
    return [request for _, request in sorted(placed, key=lambda each: each[0])]


def last_of_the_greediest(queue: Collection[Waiting], tenant: str) -> Waiting | None:
    """The last request of the tenant with the most; None when this tenant, with one more, would have as many."""
    counts = Counter(request.tenant for request in queue)
    if not counts:
        return None
    ((greediest, most),) = counts.most_common(1)
    if counts[tenant] + 1 >= most:
        return None
    return [request for request in queue if request.tenant == greediest][-1]
