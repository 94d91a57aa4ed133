"""What engines hold, as their agents say it."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tunefleet.engine.adapters_api import AdaptersReport
from tunefleet.gateway import agents as agents_module
from tunefleet.gateway.agents import Agents
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import EnginePod, Holdings
from tunefleet.plan.routing import holdings_of

from .fake_agent import FakeAgent, agent
from .harness import BASE_ENGINE_NAME, ENGINE_NAME, FLEET_KEY

KEY = Key("ns", "pod")
DIGEST = "sha256:" + "1" * 64


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents_module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(agents_module, "LAST_PAUSE", 0.01)


def pod(ip: str = "127.0.0.1", name: str = "pod", *, terminating: bool = False) -> EnginePod:
    return EnginePod(Key("ns", name), ip, "endpoint", "revision", "tiny", terminating)


@dataclass
class Polling:
    agents: Agents
    changed: asyncio.Event
    alive: "asyncio.Queue[Key]"

    async def change(self) -> None:
        await asyncio.wait_for(self.changed.wait(), 10)
        self.changed.clear()


@asynccontextmanager
async def polling(port: int, fleet_key: bytes = FLEET_KEY) -> AsyncIterator[Polling]:
    changed, alive = asyncio.Event(), asyncio.Queue[Key]()
    agents = Agents(fleet_key, alive.put_nowait, port)
    agents.on_change = changed.set
    try:
        yield Polling(agents, changed, alive)
    finally:
        await agents.aclose()


async def test_a_report_and_its_changes() -> None:
    async with agent(loaded={ENGINE_NAME: DIGEST}) as spoken, polling(spoken.port) as poll:
        assert poll.agents.heard_all
        poll.agents.follow([pod()])
        assert not poll.agents.heard_all
        await poll.change()
        assert poll.agents.heard_all
        assert poll.agents.reports == {KEY: Holdings(BASE_ENGINE_NAME, True, {ENGINE_NAME: DIGEST})}
        spoken.loaded = {}
        spoken.publish()
        await poll.change()
        assert poll.agents.reports == {KEY: Holdings(BASE_ENGINE_NAME, True, {})}
        assert [await spoken.asked.get(), await spoken.asked.get()] == [None, "boot-1"]
        assert [await poll.alive.get(), await poll.alive.get()] == [KEY, KEY]


async def test_a_report_is_not_kept_while_the_next_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[weakref.ref[AdaptersReport]] = []

    def reduced(report: AdaptersReport) -> Holdings:
        reports.append(weakref.ref(report))
        return holdings_of(report)

    monkeypatch.setattr(agents_module, "holdings_of", reduced)
    async with agent(loaded={ENGINE_NAME: DIGEST}) as spoken, polling(spoken.port) as poll:
        poll.agents.follow([pod()])
        await poll.change()
        assert [await spoken.asked.get(), await spoken.asked.get()] == [None, "boot-1"]
        gc.collect()
        assert [report() for report in reports] == [None]


async def test_a_report_that_says_the_same_is_no_change() -> None:
    async with agent() as spoken, polling(spoken.port) as poll:
        poll.agents.follow([pod()])
        await poll.change()
        spoken.publish()
        for _ in range(2):
            await asyncio.wait_for(poll.alive.get(), 10)
        assert not poll.changed.is_set()


async def test_pods_that_go_take_their_reports_along() -> None:
    async with agent() as spoken, polling(spoken.port) as poll:
        for later in ([], [pod(terminating=True)], [pod(ip="")]):
            poll.agents.follow([pod()])
            await poll.change()
            poll.agents.follow(later)
            assert poll.agents.reports == {}
            assert poll.changed.is_set()
            poll.changed.clear()


async def test_a_pod_that_comes_back_elsewhere_is_asked_there() -> None:
    async with (
        agent() as first,
        agent("127.0.0.2", first.port, loaded={ENGINE_NAME: DIGEST}) as second,
        polling(first.port) as poll,
    ):
        poll.agents.follow([pod()])
        await poll.change()
        poll.agents.follow([pod("127.0.0.2")])
        assert poll.agents.reports == {}
        poll.changed.clear()
        await poll.change()
        assert poll.agents.reports[KEY].loaded == {ENGINE_NAME: DIGEST}
        assert await second.asked.get() is None


async def test_an_agent_that_never_answers_keeps_nobody_waiting() -> None:
    async with polling(1) as poll:
        poll.agents.follow([pod()])
        await poll.change()
        assert poll.agents.heard_all
        assert poll.agents.reports == {}


async def test_a_report_outlives_a_short_silence_and_no_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents_module, "REPORT_SECONDS", 1000)
    async with agent() as spoken, polling(spoken.port) as poll:
        poll.agents.follow([pod()])
        await poll.change()
        spoken.failing = True
        spoken.wake()
        await asked(spoken, 4)
        assert KEY in poll.agents.reports
        monkeypatch.setattr(agents_module, "REPORT_SECONDS", 0)
        await poll.change()
        assert KEY not in poll.agents.reports
        spoken.failing = False
        await poll.change()  # with the etag of before
        assert KEY in poll.agents.reports


async def asked(spoken: FakeAgent, count: int) -> None:
    """Wait until the agent was asked so many times more."""
    for _ in range(count):
        await asyncio.wait_for(spoken.asked.get(), 10)


async def test_the_wrong_key_is_refused_and_said(caplog: pytest.LogCaptureFixture) -> None:
    async with agent() as spoken, polling(spoken.port, b"another key") as poll:
        with caplog.at_level("INFO"):
            poll.agents.follow([pod()])
            await poll.change()
        assert poll.agents.reports == {}
        assert "401" in caplog.text
        assert "Bearer" not in caplog.text
