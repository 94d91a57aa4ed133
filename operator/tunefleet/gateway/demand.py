"""What this gateway tells the operator: which adapters are asked for, and how canaries do. See plan/demand.py.

Requests cost nothing more for it: once a second the counts that metrics need anyway are looked at. Only what cannot
wait is told at once: a request for an adapter that no engine holds, and a canary that can be looked at again.
"""

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tunefleet.plan.demand import LONG_POLL_SECONDS, AdapterDemand, DemandReport, Trial
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import RouteTable
from tunefleet.plan.times import rfc3339

from .hold import Hold
from .telemetry import Telemetry
from .trials import Trials

REMEMBERED_SECONDS = 604800.0
"""Adapters that nobody asked for in so long are left out: the longest loading.idleSeconds."""
AVERAGED_SECONDS = 300.0
"""Time constant of the requests a minute."""
AGAIN_SECONDS = 1.0
"""What was told at once about an adapter is not told at once again before."""


@dataclass
class _Asked:
    """How one adapter is asked for."""

    moment: float
    """Of the last request, on the monotonic clock."""
    time: str
    """The same for people."""
    per_minute: float = 0.0
    told: float = float("-inf")
    """When it was told at once, on the monotonic clock."""


class Demand:
    """Looks at the counts, and keeps what the operator has to know."""

    def __init__(
        self, telemetry: Telemetry, hold: Hold, clock: Callable[[], float], wall_clock: Callable[[], datetime]
    ) -> None:
        self._telemetry = telemetry
        self._hold = hold
        self._clock = clock
        self._wall_clock = wall_clock
        self._table = RouteTable()
        self._asked: dict[Key, _Asked] = {}
        self._looked = clock()
        self._since = rfc3339(wall_clock())
        self._boot = secrets.token_hex(4)
        self._number = 1
        self._told: tuple[tuple[AdapterDemand, ...], tuple[Trial, ...]] = ((), ())
        self._news = asyncio.Event()
        self.trials = Trials(self._tell_at_once)

    @property
    def etag(self) -> str:
        """Of the next report, unless more has changed by then."""
        return f"{self._boot}-{self._number}"

    def follow(self, table: RouteTable) -> None:
        """Names belong to these adapters now."""
        self._table = table
        self.trials.follow(table.trials)

    def missed(self, adapter: Key) -> None:
        """Somebody asks for an adapter, and no engine can answer."""
        asked = self._note(adapter)
        if asked.moment - asked.told >= AGAIN_SECONDS:
            asked.told = asked.moment
            self._tell_at_once()

    def look(self) -> None:
        """About once a second: see who was asked for since the last look."""
        now = self._clock()
        elapsed, self._looked = now - self._looked, now
        begun = self._begun()
        for adapter in begun:
            self._note(adapter)
        share = 1 - math.exp(-elapsed / AVERAGED_SECONDS)
        for adapter, asked in list(self._asked.items()):
            rate = 60 * begun[adapter] / elapsed if elapsed > 0 else asked.per_minute
            asked.per_minute += share * (rate - asked.per_minute)
            if now - asked.moment > REMEMBERED_SECONDS:
                del self._asked[adapter]

    def report(self) -> DemandReport:
        """Everything, as it is now."""
        content = self._adapters(), self.trials.report()
        if content != self._told:
            self._told = content
            self._number += 1
        return DemandReport(etag=self.etag, since=self._since, adapters=content[0], trials=content[1])

    async def next_report(self, after: str) -> DemandReport:
        """The report, at once unless `after` is the present etag; then when something cannot wait, or time is up."""
        if after == self.etag:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONG_POLL_SECONDS):
                    await self._news.wait()
        return self.report()

    def _tell_at_once(self) -> None:
        self._number += 1
        self._news.set()
        self._news = asyncio.Event()

    def _note(self, adapter: Key) -> _Asked:
        moment, time = self._clock(), rfc3339(self._wall_clock())
        asked = self._asked.setdefault(adapter, _Asked(moment, time))
        asked.moment, asked.time = moment, time
        return asked

    def _begun(self) -> Counter[Key]:
        """Requests sent to engines since the last look."""
        found: Counter[Key] = Counter()
        for series in self._telemetry.versions():
            adapter = self._adapter(series.model) if series.begun else None
            if adapter is not None:
                found[adapter] += series.begun
            series.begun = 0
        return found

    def _adapters(self) -> tuple[AdapterDemand, ...]:
        in_flight, waiting = self._now()
        for adapter in (in_flight.keys() | waiting.keys()) - self._asked.keys():
            self._note(adapter)
        return tuple(
            AdapterDemand(
                namespace=adapter.namespace,
                name=adapter.name,
                waiting=waiting[adapter],
                in_flight=in_flight[adapter],
                last_asked=asked.time,
                requests_per_minute=round(asked.per_minute, 1),
            )
            for adapter, asked in sorted(self._asked.items(), key=lambda item: item[0])
        )

    def _now(self) -> tuple[Counter[Key], Counter[Key]]:
        """Requests at engines, and requests that wait."""
        in_flight: Counter[Key] = Counter()
        waiting: Counter[Key] = Counter()
        for series in self._telemetry.versions():
            if series.running and (adapter := self._adapter(series.model)):
                in_flight[adapter] += series.running
        for name, count in self._hold.waiting().items():
            if adapter := self._adapter(name):
                waiting[adapter] += count
        return in_flight, waiting

    def _adapter(self, served_name: str) -> Key | None:
        route = self._table.routes.get(served_name)
        return route.adapter if route else None
