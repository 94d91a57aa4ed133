"""Limits count for all gateways together: each tells what it spent, and asks the others once a second.

Between two rounds a gateway does not know what the others admit. So while requests come to R gateways at once, as much
as R - 1 of them admit in one round may be too much, and it is taken off afterwards: buckets may owe, so over time no
more is used than the limit. Requests at the same time may be exceeded by what begins within one round. A gateway that
gives no answer counts as idle after STALE_SECONDS; what it spent meanwhile is taken off when it answers again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self
from uuid import uuid4

import aiohttp
from pydantic import Field

from tunefleet.api.names import COMPONENT
from tunefleet.api.schema import Schema
from tunefleet.kube.client import Client
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.watch import ObjectKey, Watch

from .access import Access, Tenant
from .limits import Bucket, Limits

log = logging.getLogger(__name__)

USAGE_PATH: Final = "/v1/usage"
"""On the admin port: what this gateway's tenants with limits spent."""
ROUND_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 1.0
STALE_SECONDS: Final = 5.0
GONE_SECONDS: Final = 300.0
"""A process that is silent for so long is forgotten."""
GATEWAY_PODS: Final = f"{COMPONENT}=gateway,app.kubernetes.io/name=tunefleet"
"""Label selector, as the chart labels them."""
_ENDED = frozenset({"Succeeded", "Failed"})


class Spent(Schema):
    """What one tenant spent at one gateway since that started, and how it stands there now."""

    requests: int
    tokens: int
    running: int
    """Requests."""
    requests_left: float | None = None
    """Of the limit, all gateways together as far as this one knows; below zero: what is owed. None: no limit."""
    tokens_left: float | None = None


class UsageReport(Schema):
    """What one process tells of its tenants with limits."""

    process: str
    """Another one after each start, and counts begin anew."""
    tenants: Mapping[str, Spent] = Field(default_factory=dict)

    @classmethod
    def of(cls, process: str, tenants: Iterable[Tenant], now: float) -> Self:
        """Of this process."""
        limited = [tenant for tenant in tenants if not tenant.free]
        return cls(process=process, tenants={tenant.name: _spent(tenant.limits, now) for tenant in limited})


class UsageReports(Schema):
    """The answer to USAGE_PATH: a report of each process of one gateway."""

    processes: tuple[UsageReport, ...]

    @classmethod
    def together(cls, answers: Iterable[Self]) -> Self:
        """What several workers say, as one gateway says it."""
        return cls(processes=tuple(report for answer in answers for report in answer.processes))


def _spent(limits: Limits, now: float) -> Spent:
    return Spent(
        requests=limits.spent_requests,
        tokens=limits.spent_tokens,
        running=limits.running,
        requests_left=_left(limits.requests, now),
        tokens_left=_left(limits.tokens, now),
    )


def _left(bucket: Bucket | None, now: float) -> float | None:
    return None if bucket is None else bucket.left(now)


class Others:
    """What the other processes last said. Pure: reports go in, tenants' limits are put right."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._reports: dict[str, tuple[float, UsageReport]] = {}

    def heard(self, report: UsageReport, tenants: Iterable[Tenant], now: float) -> None:
        """A process said something. What it spent since it last did is taken off.

        When it is first heard of, its counts say nothing of when that was; then what it knows to be left is believed,
        should that be less. So a gateway that starts does not begin with full buckets.
        """
        if report.process == self._process:
            return
        _, former = self._reports.get(report.process, (now, None))
        self._reports[report.process] = (now, report)
        known = former.tenants if former is not None else {}
        for tenant in tenants:
            after = report.tenants.get(tenant.name)
            if after is None:
                continue
            before = known.get(tenant.name)
            if before is None:
                tenant.limits.lower(after.requests_left, after.tokens_left, now)
            else:
                spent = (after.requests - before.requests, after.tokens - before.tokens)
                tenant.limits.spent_elsewhere(*spent, now)

    def count(self, tenants: Iterable[Tenant], now: float) -> None:
        """Set how many requests of each tenant run elsewhere."""
        self._reports = {process: said for process, said in self._reports.items() if now - said[0] <= GONE_SECONDS}
        fresh = [report for time, report in self._reports.values() if now - time <= STALE_SECONDS]
        for tenant in tenants:
            told = [report.tenants[tenant.name].running for report in fresh if tenant.name in report.tenants]
            tenant.limits.elsewhere = sum(told)


class SharedLimits:
    """Asks the other gateways while `run` runs."""

    def __init__(self, client: Client, access: Access, namespace: str, port: int, clock: Callable[[], float]) -> None:
        """`namespace`: of the gateway pods, `port`: their admin port."""
        self._access = access
        self._port = port
        self._clock = clock
        self._process = uuid4().hex
        self._others = Others(self._process)
        self._silent: set[str] = set()
        self._watch: Watch[str] = Watch(
            client,
            RESOURCES["Pod"],
            _address,
            self._changed,
            namespace=namespace,
            label_selector=GATEWAY_PODS,
        )

    def report(self) -> UsageReports:
        """What is told to others."""
        return UsageReports(processes=(UsageReport.of(self._process, self._access.tenants, self._clock()),))

    async def run(self) -> None:
        """Once a second, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            group.create_task(self._watch.run())
            while True:
                await self.ask(session)
                await asyncio.sleep(ROUND_SECONDS)

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """One round. Without a tenant that has limits, nobody is asked."""
        if any(not tenant.free for tenant in self._access.tenants):
            await asyncio.gather(*[self._ask(session, address) for address in self._addresses()])
            self._others.count(self._access.tenants, self._clock())

    async def _ask(self, session: aiohttp.ClientSession, address: str) -> None:
        host = f"[{address}]" if ":" in address else address
        try:
            async with session.get(f"http://{host}:{self._port}{USAGE_PATH}", raise_for_status=True) as answer:
                said = UsageReports.read(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if address not in self._silent:
                log.warning("gateway %s does not say what it spent, so limits do not count it: %r", address, error)
            self._silent.add(address)
        else:
            self._silent.discard(address)
            for report in said.processes:
                self._others.heard(report, self._access.tenants, self._clock())

    def _addresses(self) -> list[str]:
        return [address for address in self._watch.store.values() if address]

    def _changed(self, _key: ObjectKey) -> None:
        self._silent.intersection_update(self._addresses())


def _address(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    return "" if status.get("phase") in _ENDED else status.get("podIP", "")
