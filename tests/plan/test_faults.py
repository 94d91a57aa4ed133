"""Faults in a simulated cluster, each at every moment of a promotion and of a roll-back."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.plan.simulation import Cluster
from tests.plan.test_histories import check_steady, fleet, watch_served

CHANGES: dict[str, Callable[[Cluster], None]] = {
    "promotion": lambda cluster: cluster.activate("german", 2),
    "roll-back": lambda cluster: cluster.activate("german", 1),
    "base version": lambda cluster: cluster.serve_base(2),
}
JUMPS = [timedelta(days=365), timedelta(days=-365), timedelta(seconds=-61)]


def served(change: str) -> Cluster:
    """A fleet in its steady state right before the change."""
    cluster = fleet()
    if change == "roll-back":
        cluster.settle()
        cluster.activate("german", 2)
    cluster.settle()
    return cluster


def moments(cluster: Cluster) -> Iterator[None]:
    """Operator and cluster take turns until both rest, one decision or one move at a time."""
    busy = True
    while busy:
        busy = False
        for ref in cluster.refs():
            plan = cluster.plan(ref)
            cluster.execute(plan)
            watch_served(cluster)
            busy = busy or not plan.empty
            yield
        for move in list(cluster.steps()):
            busy = move() or busy
            watch_served(cluster)
            yield


def assert_as_if_nothing_had_happened(cluster: Cluster, change: str) -> None:
    """It comes to rest as the spec says, by one entry in the history."""
    cluster.settle_for(500, step=65)
    check_steady(cluster)
    undisturbed = served(change)
    CHANGES[change](undisturbed)
    undisturbed.settle_for(500, step=65)
    hops = [
        [(h.from_version, h.to_version) for h in c.adapter("german").status.history] for c in (cluster, undisturbed)
    ]
    assert hops[0] == hops[1]


@pytest.mark.parametrize("change", CHANGES)
def test_the_operator_killed_after_every_single_write(change: str) -> None:
    """The write has happened, and whoever comes next remembers nothing of what this one asked."""
    killed, write = True, 0
    while killed:
        write += 1
        cluster = served(change)
        CHANGES[change](cluster)
        killed = _killed_at(cluster, write)
        assert_as_if_nothing_had_happened(cluster, change)
    assert write > 1, "a change takes more writes than that"


def _killed_at(cluster: Cluster, left: int) -> bool:
    """Go on until that many writes have happened, or to the end; whether there were as many."""
    for _ in range(60):
        busy = 0
        for ref in cluster.refs():
            plan = cluster.plan(ref)
            writes = sum(map(len, (plan.delete, plan.apply, plan.assignments, plan.inspections, plan.statuses)))
            cluster.execute(plan, crash_after=left)
            watch_served(cluster)
            if left <= writes:
                cluster.inspections.clear()
                return True
            left, busy = left - writes, busy + writes
        if not cluster.advance() and not busy:
            return False
    raise AssertionError("no steady state")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_clock_that_jumps_at_any_moment_takes_no_answer_away(change: str, jump: timedelta) -> None:
    moment = 0
    while True:
        cluster = served(change)
        CHANGES[change](cluster)
        passed = 0
        for passed, _ in enumerate(moments(cluster)):
            if passed == moment:
                cluster.now += jump
        if passed < moment:
            return
        assert_as_if_nothing_had_happened(cluster, change)
        moment += 9
