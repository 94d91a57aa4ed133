"""What the operator hears: who is asked for, what cannot wait, and what may."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.reconcile.virtual_time import run_virtual
from tunefleet.gateway.demand import REMEMBERED_SECONDS, Demand
from tunefleet.gateway.hold import Hold, HoldLimits
from tunefleet.gateway.record import Record
from tunefleet.gateway.telemetry import Telemetry
from tunefleet.plan.demand import LONG_POLL_SECONDS, AdapterDemand
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Route, RouteTable, Target, TrialTerms

VERSION, OTHER, BASE = "m@v1-00000000", "n@v3-00000000", "tiny@v1-00000000"
ADAPTER = Key("ns", "adapter")


class World:
    """Demand with clocks that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.telemetry = Telemetry(self.clock)
        self.hold = Hold(HoldLimits(), self.clock, self.telemetry.counters)
        self.demand = Demand(self.telemetry, self.hold, self.clock, self.wall_clock)
        routes = {"m": Route("m", (Target(VERSION, 100, ()),), ADAPTER), "tiny": Route("tiny")}
        routes["n"] = Route("n", (Target(OTHER, 100, ()),), Key("ns", "other"))
        self.demand.follow(RouteTable(routes))

    def clock(self) -> float:
        return self.now

    def wall_clock(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def ask(self, engine_name: str = VERSION, times: int = 1) -> None:
        for _ in range(times):
            self.telemetry.ended(self.begin(engine_name))

    def begin(self, engine_name: str = VERSION) -> Record:
        record = Record(b"id", "POST", "/v1/chat/completions", self.now)
        record.series, record.outcome = self.telemetry.series(engine_name), "2xx"
        self.telemetry.begun(record)
        return record

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.demand.look()

    @property
    def adapters(self) -> tuple[AdapterDemand, ...]:
        return self.demand.report().adapters


def test_who_is_asked_for_and_when() -> None:
    world = World()
    running = world.begin()
    world.ask(BASE)
    world.pass_time(1)
    world.pass_time(30)
    (seen,) = world.adapters
    assert (seen.namespace, seen.name, seen.in_flight, seen.waiting) == ("ns", "adapter", 1, 0)
    assert seen.last_asked == "2026-01-01T00:00:01Z"
    assert world.demand.report().since == "2026-01-01T00:00:00Z"
    world.telemetry.ended(running)
    assert world.adapters[0].in_flight == 0


def test_the_rate_is_an_average_over_minutes() -> None:
    world = World()
    for _ in range(1800):
        world.ask(times=2)
        world.pass_time(1)
    assert world.adapters[0].requests_per_minute == pytest.approx(120, abs=1)
    world.pass_time(300)
    assert world.adapters[0].requests_per_minute == pytest.approx(120 / 2.718, rel=0.05)


def test_adapters_that_nobody_asks_for_are_forgotten() -> None:
    world = World()
    world.ask()
    world.pass_time(1)
    world.pass_time(REMEMBERED_SECONDS + 1)
    assert world.adapters == ()


def test_the_etag_changes_with_the_report_and_not_without() -> None:
    world = World()
    first = world.demand.report()
    assert world.demand.report() == first
    world.ask()
    world.pass_time(1)
    second = world.demand.report()
    assert second.etag != first.etag
    assert second.etag.rpartition("-")[0] == first.etag.rpartition("-")[0]
    assert World().demand.report().etag.rpartition("-")[0] != first.etag.rpartition("-")[0]


def test_a_poll_waits_for_its_time_while_there_is_only_load() -> None:
    async def main() -> float:
        world = World()
        before = asyncio.get_running_loop().time()
        poll = asyncio.create_task(world.demand.next_report(world.demand.report().etag))
        for _ in range(5):
            await asyncio.sleep(1)
            world.ask()
            world.pass_time(1)
        assert (await poll).adapters
        return asyncio.get_running_loop().time() - before

    assert run_virtual(main()) == LONG_POLL_SECONDS


def test_who_asks_for_what_no_engine_holds_is_told_at_once_but_not_again_and_again() -> None:
    async def main() -> list[float]:
        world, times = World(), []
        for _ in range(3):
            poll = asyncio.create_task(world.demand.next_report(world.demand.report().etag))
            await asyncio.sleep(0.1)
            world.demand.missed(ADAPTER)
            before = asyncio.get_running_loop().time()
            await poll
            times.append(asyncio.get_running_loop().time() - before)
            world.now += 0.6
        return times

    first, again, later = run_virtual(main())
    assert (first, later) == (0, 0)
    assert again > 9


def test_what_happened_between_two_polls_is_answered_at_once() -> None:
    async def main() -> float:
        world = World()
        etag = world.demand.report().etag
        world.demand.missed(ADAPTER)
        before = asyncio.get_running_loop().time()
        report = await world.demand.next_report(etag)
        assert [adapter.name for adapter in report.adapters] == ["adapter"]
        return asyncio.get_running_loop().time() - before

    assert run_virtual(main()) == 0


def test_a_canary_with_enough_requests_is_told_at_once() -> None:
    async def main() -> float:
        world = World()
        targets = (Target(VERSION, 90, ()), Target("m@v2-00000000", 10, ()))
        route = Route("m", targets, ADAPTER, TrialTerms("since", "m@v2-00000000", 10))
        world.demand.follow(RouteTable({"m": route}, (), (route,)))
        before = asyncio.get_running_loop().time()
        poll = asyncio.create_task(world.demand.next_report(world.demand.report().etag))
        await asyncio.sleep(0.5)
        step = world.demand.trials.of("m")
        assert step is not None
        for _ in range(10):
            step.ended("m@v2-00000000", failed=False)
        (trial,) = (await poll).trials
        assert [version.requests for version in trial.versions] == [0, 10]
        return asyncio.get_running_loop().time() - before

    assert run_virtual(main()) == 0.5
