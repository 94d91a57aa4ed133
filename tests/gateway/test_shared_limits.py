"""Limits that hold for several gateways together."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.api.api_key import read_policy
from tunefleet.gateway.access import Access, Tenant
from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.shared_limits import (
    GONE_SECONDS,
    STALE_SECONDS,
    USAGE_PATH,
    Others,
    SharedLimits,
    UsageReport,
    UsageReports,
)

from .fake_api import api_server

POLICY = "{requestsPerMinute: 10, tokensPerMinute: 1000, maxConcurrentRequests: 4}"


class Gateway:
    """One of several, as far as limits go."""

    def __init__(self, name: str, policy: str = POLICY) -> None:
        self.name = name
        self.tenant = Tenant("team-a")
        self.tenant.follow(read_policy(policy), 0.0)
        self.others = Others(name)

    @property
    def report(self) -> UsageReport:
        return UsageReport.read(UsageReport.of(self.name, [self.tenant], self.now).dump())

    now = 0.0

    def hears(self, other: "Gateway", now: float = 0.0) -> None:
        self.others.heard(other.report, [self.tenant], now)
        self.others.count([self.tenant], now)

    @property
    def left(self) -> float:
        assert self.tenant.limits.requests is not None
        return self.tenant.limits.requests.left(0.0)


def test_what_others_spend_is_spent() -> None:
    here, there = Gateway("here"), Gateway("there")
    here.hears(there)
    for _ in range(3):
        there.tenant.begin(0.0, 400)
    here.hears(there)
    assert here.left == 7
    assert here.tenant.limits.tokens is not None
    assert here.tenant.limits.tokens.left(0.0) == 700
    assert here.tenant.limits.elsewhere == 3
    here.hears(there)
    assert here.left == 7, "once"
    here.tenant.begin(0.0, 0)
    with pytest.raises(Refusal, match="4 requests at a time"):
        here.tenant.begin(0.0, 0)


def test_what_is_told_is_what_was_spent_here_and_not_what_was_heard() -> None:
    gateways = [Gateway(name) for name in "abc"]
    for _ in range(3):
        for one in gateways:
            for other in gateways:
                one.hears(other)
    gateways[0].tenant.begin(0.0, 0)
    for _ in range(3):
        for one in gateways:
            for other in gateways:
                one.hears(other)
    assert [one.left for one in gateways] == [9, 9, 9]


def test_a_gateway_that_starts_does_not_begin_with_full_buckets() -> None:
    old, new = Gateway("old"), Gateway("new")
    for _ in range(4):
        old.tenant.begin(0.0, 0)
    new.hears(old)
    assert new.left == 6


def test_one_that_started_anew_is_counted_from_there() -> None:
    here, there = Gateway("here"), Gateway("there")
    here.hears(there)
    there.tenant.begin(0.0, 0)
    here.hears(there)
    here.hears(Gateway("there, started anew"))
    assert here.left == 9


def test_a_gateway_does_not_hear_itself() -> None:
    here = Gateway("here")
    here.tenant.begin(0.0, 0)
    here.hears(here)
    assert (here.left, here.tenant.limits.elsewhere) == (9, 0)


def test_who_is_silent_or_gone_counts_as_idle_and_pays_later() -> None:
    here, there = Gateway("here"), Gateway("there")
    here.hears(there)
    there.tenant.begin(0.0, 0)
    here.hears(there)
    assert here.tenant.limits.elsewhere == 1
    here.others.count([here.tenant], STALE_SECONDS + 1)
    assert here.tenant.limits.elsewhere == 0
    there.tenant.begin(0.0, 0)
    here.hears(there)
    assert (here.tenant.limits.elsewhere, here.left) == (2, 8)
    here.others.count([here.tenant], GONE_SECONDS + 1)
    here.hears(there)
    assert here.left == 8, "it is not known what is new"


def test_tenants_without_limits_are_not_told_of() -> None:
    assert Gateway("free", "").report.tenants == {}


def test_another_answer_is_no_report() -> None:
    with pytest.raises(ValueError, match="process"):
        UsageReport.read({"tenants": {}})


def test_workers_speak_as_one_gateway() -> None:
    workers = [UsageReports(processes=(Gateway(name).report,)) for name in "ab"]
    assert [report.process for report in UsageReports.together(workers).processes] == ["a", "b"]


@asynccontextmanager
async def speaking(other: Gateway) -> AsyncIterator[int]:
    async def usage(_request: web.Request) -> web.Response:
        return web.json_response(UsageReports(processes=(other.report,)).dump())

    app = web.Application()
    app.router.add_get(USAGE_PATH, usage)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        yield server.port


async def test_the_pods_of_the_own_namespace_are_asked() -> None:
    here, there = Gateway("here"), Gateway("there")
    access = Access(keys=True)
    access.replace({bytes(32): here.tenant})
    async with api_server() as (api, client), speaking(there) as port:
        shared = SharedLimits(client, access, "ns", port, asyncio.get_running_loop().time)
        running = asyncio.create_task(shared.run())
        status = {"phase": "Running", "podIP": "127.0.0.1"}
        api.put("Pod", {"metadata": {"name": "gateway-1", "namespace": "ns"}, "status": status})
        there.tenant.begin(0.0, 0)

        async def heard() -> bool:
            async with aiohttp.ClientSession() as session:
                await shared.ask(session)
            return here.tenant.limits.elsewhere == 1

        async with asyncio.timeout(10):
            while not await heard():  # noqa: ASYNC110 - the watch is on its way
                await asyncio.sleep(0.001)
        assert "app.kubernetes.io/component=gateway,app.kubernetes.io/name=tunefleet" in api.selectors
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_pod_that_does_not_answer_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    here = Gateway("here")
    access = Access(keys=True)
    access.replace({bytes(32): here.tenant})

    def told() -> int:
        return len([line for line in caplog.messages if "127.0.0.1 does not say what it spent" in line])

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with api_server() as (api, client), aiohttp.ClientSession() as session:
            shared = SharedLimits(client, access, "ns", closed.getsockname()[1], lambda: 0.0)
            running = asyncio.create_task(shared.run())
            status = {"phase": "Running", "podIP": "127.0.0.1"}
            api.put("Pod", {"metadata": {"name": "gateway-1", "namespace": "ns"}, "status": status})
            async with asyncio.timeout(10):
                while not told():  # noqa: ASYNC110 - the watch is on its way
                    await asyncio.sleep(0.001)
            await shared.ask(session)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
    assert told() == 1
