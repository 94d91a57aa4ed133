"""One demand report for all workers of a gateway: see plan/demand.py for what it promises."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from tunefleet.plan.demand import LONG_POLL_SECONDS, DemandReport
from tunefleet.plan.times import rfc3339

from .worker_reports import merge_demand, without_load

PAUSE_SECONDS = 0.2
"""Before a worker that did not answer is asked again."""

Ask = Callable[[str], Awaitable[DemandReport]]
"""One worker's long poll, by the etag of what is known of it. Raises OSError (TimeoutError included)."""


class WorkerDemand:
    """What the workers last told, added up."""

    def __init__(self) -> None:
        self._boot = secrets.token_hex(4)
        self._number = 1
        self._since = rfc3339(datetime.now(UTC))
        self._reports: dict[str, DemandReport] = {}
        self._past = DemandReport(etag="", since="")
        """What workers told that have ended: who was asked for when, and how canaries did."""
        self._news = asyncio.Event()

    async def follow(self, worker: str, ask: Ask) -> None:
        """Poll one worker until cancelled."""
        while True:
            former = self._reports.get(worker)
            try:
                report = await ask(former.etag if former else "")
            except OSError:
                self._lost(worker)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._reports[worker] = report
            if former is None or former.etag != report.etag:
                self._tell()

    def report(self) -> DemandReport:
        """Of all, now."""
        living = tuple(self._reports.values())
        steps = {(trial.namespace, trial.name, trial.since) for report in living for trial in report.trials}
        trials = tuple(t for t in self._past.trials if not living or (t.namespace, t.name, t.since) in steps)
        past = self._past.model_copy(update={"trials": trials})
        return merge_demand((past, *living), f"{self._boot}-{self._number}", self._since)

    async def next_report(self, after: str) -> DemandReport:
        """The report, at once unless `after` is the present etag; then when a worker tells something, or time is up."""
        if after == f"{self._boot}-{self._number}":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONG_POLL_SECONDS):
                    await self._news.wait()
        return self.report()

    def _lost(self, worker: str) -> None:
        """It has ended, or does not answer: what it told stands, but for what runs and waits. What it had not told yet
        is unknown, so nothing is promised of the time before now."""
        former = self._reports.pop(worker, None)
        if former is not None:
            self._since = rfc3339(datetime.now(UTC))
            self._past = merge_demand((self._past, without_load(former)), "", "")
            self._tell()

    def _tell(self) -> None:
        self._number += 1
        self._news.set()
        self._news = asyncio.Event()
