"""What makes the process unhealthy."""

import asyncio

import pytest

from tunefleet.handlers.health import HEARTBEAT_SECONDS, START_SECONDS, STUCK_SECONDS, Health, watchers_alive


class Clock:
    """Moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


def test_standing_by_is_healthy_and_ready(clock: Clock) -> None:
    health = Health(clock)
    clock.now = 1e6
    assert health.ready
    assert health.problems(watchers_alive=0) == []


def test_a_leader_gets_time_to_list_and_no_more(clock: Clock) -> None:
    health = Health(clock)
    health.lead(3, lambda: 0.0)
    clock.now = START_SECONDS
    assert not health.ready
    assert health.problems(watchers_alive=3) == []
    clock.now += 1
    assert "not everything was listed" in health.problems(watchers_alive=3)[0]
    health.beat()
    assert health.ready
    assert health.problems(watchers_alive=3) == []


def test_a_heartbeat_that_does_not_come_back_is_a_problem(clock: Clock) -> None:
    health = Health(clock)
    health.lead(3, lambda: 0.0)
    health.beat()
    clock.now = HEARTBEAT_SECONDS
    assert health.problems(watchers_alive=3) == []
    clock.now += 1
    assert "last seen through the watch 31 s ago" in health.problems(watchers_alive=3)[0]
    health.beat()
    assert health.problems(watchers_alive=3) == []


def test_a_watch_that_died_is_a_problem(clock: Clock) -> None:
    health = Health(clock)
    health.lead(3, lambda: 0.0)
    health.beat()
    assert health.problems(watchers_alive=2) == ["2 of 3 watches are alive"]


def test_work_that_never_ends_is_a_problem(clock: Clock) -> None:
    health = Health(clock)
    stuck = 0.0
    health.lead(3, lambda: stuck)
    health.beat()
    assert health.problems(watchers_alive=3) == []
    stuck = STUCK_SECONDS + 1
    assert "one decision" in health.problems(watchers_alive=3)[0]


async def test_watches_are_counted_by_their_tasks() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(60), name=f"watcher for kind-{number}@None") for number in range(2)]
    assert watchers_alive() == 2
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    assert watchers_alive() == 1
    tasks[1].cancel()
