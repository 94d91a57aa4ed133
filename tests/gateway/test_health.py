"""What leaves a pod out, for how long, and what brings it back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tunefleet.gateway.health import (
    BUSY,
    BUSY_MOST,
    FAILED,
    FAILURES,
    FIRST_PAUSE,
    LAST_PAUSE,
    PROBE_SECONDS,
    REFUSED,
    Health,
)


def fail(health: Health, now: float = 0.0) -> None:
    """Different requests in a row, as many as it takes."""
    for request in range(FAILURES):
        health.failed(now, request)


def test_a_pod_that_takes_no_connection_is_out_at_once() -> None:
    health = Health({})
    assert health.open(0.0)
    health.refused(0.0)
    assert not health.open(FIRST_PAUSE - 0.01)
    assert health.open(FIRST_PAUSE)


@pytest.mark.parametrize("why", [REFUSED, FAILED])
def test_pauses_double_until_a_limit_and_an_answer_makes_them_short_again(why: str) -> None:
    health, now, found = Health({}), 0.0, []
    for _ in range(7):
        if why == REFUSED:
            health.refused(now)
        else:
            fail(health, now)
        found.append(health.until - now)
        now = health.until
    assert found == [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0]
    assert LAST_PAUSE == 16.0
    assert health.answered()
    health.refused(now)
    assert health.until - now == FIRST_PAUSE


def test_many_that_are_refused_together_are_one_ejection() -> None:
    ejections: dict[str, int] = {}
    health = Health(ejections)
    for _ in range(50):
        health.refused(0.5)
    assert (health.until, ejections) == (0.5 + FIRST_PAUSE, {REFUSED: 1})


def test_bad_answers_in_a_row() -> None:
    health = Health({})
    for request in range(FAILURES - 1):
        health.failed(0.0, request)
    assert health.open(0.0)
    assert not health.answered()  # it was not out
    for request in range(FAILURES - 1):
        health.failed(0.0, request)
    assert health.open(0.0)
    health.failed(0.0, FAILURES)
    assert (health.open(0.0), health.why) == (False, FAILED)


def test_one_request_however_often_is_one_bad_answer() -> None:
    health = Health({})
    for _ in range(100):
        health.failed(0.0, 4711)
    assert health.open(0.0)


def test_one_probe_at_a_time() -> None:
    health = Health({})
    fail(health)
    health.chosen(0.5)  # because all are out; that is no probe
    assert health.open(FIRST_PAUSE)
    health.chosen(FIRST_PAUSE)
    assert not health.open(FIRST_PAUSE + PROBE_SECONDS - 0.1)
    assert health.open(FIRST_PAUSE + PROBE_SECONDS)  # it has said nothing for too long
    health.chosen(FIRST_PAUSE + PROBE_SECONDS)
    health.idle()  # its client left
    assert health.open(FIRST_PAUSE + PROBE_SECONDS)


def test_what_a_probe_finds() -> None:
    for why in (REFUSED, FAILED):
        health = Health({})
        if why == REFUSED:
            health.refused(0.0)
        else:
            fail(health)
        health.chosen(FIRST_PAUSE)
        if why == REFUSED:
            health.refused(FIRST_PAUSE)
        else:
            health.failed(FIRST_PAUSE, 0)  # known already, and yet
        assert (health.why, health.until) == (why, 3 * FIRST_PAUSE)
        health.chosen(health.until)
        assert health.answered()
        assert (health.clean, health.open(health.until), health.open(health.until)) == (True, True, True)


def test_a_pod_that_is_busy_is_left_alone_for_as_long_as_it_asked() -> None:
    ejections: dict[str, int] = {}
    health = Health(ejections)
    health.busy(0.0, 5.0)
    health.busy(1.0, 1.0)  # one that was on its way
    assert (health.open(4.9), health.why) == (False, BUSY)
    health.chosen(5.0)
    assert health.open(5.0)  # not one at a time
    assert ejections == {BUSY: 1}
    health.busy(5.0, 1e9)
    assert health.until == 5.0 + BUSY_MOST
    health.busy(50.0, -1.0)
    assert health.open(50.0)


def test_a_busy_pod_answers() -> None:
    health = Health({})
    for request in range(FAILURES - 1):
        health.failed(0.0, request)
    health.busy(0.0, 0.0)
    health.failed(0.0, FAILURES)
    assert health.open(0.0)


def test_signs_of_life() -> None:
    health = Health({})
    health.refused(0.0)
    assert health.alive()
    assert health.open(0.0)
    assert not health.alive()
    health.refused(0.0)
    assert health.until == 2 * FIRST_PAUSE  # it has not answered yet
    health.reached()
    assert health.open(0.0)
    assert health.answered()  # who waited for it may go
    assert not health.answered()
    fail(health)
    health.reached()
    assert not health.alive()
    assert not health.open(0.0)  # it lives, and answers nonsense


def test_what_breaks_off_when_a_pod_dies_does_not_hide_that_it_is_gone() -> None:
    health = Health({})
    health.refused(0.0)
    fail(health)
    assert (health.why, health.until) == (REFUSED, FIRST_PAUSE)
    assert health.alive()


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.ejections: dict[str, int] = {}
        self.health = Health(self.ejections)
        self.now = 0.0
        self.events = 0

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def refuses(self) -> None:
        self.health.refused(self.now)
        assert not self.health.open(self.now)
        self.events += 1

    @rule(request=st.integers(0, 4))
    def fails(self, request: int) -> None:
        was_out = self.health.why != ""
        self.health.failed(self.now, request)
        assert not self.health.clean
        assert not (was_out and self.health.why == "")
        self.events += 1

    @rule(seconds=st.floats(-1, 100))
    def is_busy(self, seconds: float) -> None:
        self.health.busy(self.now, seconds)
        self.events += 1

    @rule()
    def answers(self) -> None:
        assert self.health.answered() is not None
        assert self.health.clean
        assert self.health.open(self.now)

    @rule()
    def is_alive(self) -> None:
        self.health.alive()
        self.health.reached()
        assert self.health.why != REFUSED

    @rule()
    def is_chosen(self) -> None:
        before = self.health.open(self.now)
        self.health.chosen(self.now)
        if before and self.health.why:
            assert not self.health.open(self.now)  # one probe

    @invariant()
    def it_comes_back(self) -> None:
        assert self.health.open(self.now + max(LAST_PAUSE, BUSY_MOST) + PROBE_SECONDS)

    @invariant()
    def clean_is_open(self) -> None:
        assert not self.health.clean or (self.health.open(self.now) and not self.health.why)

    @invariant()
    def ejections_have_a_cause(self) -> None:
        assert sum(self.ejections.values()) <= self.events


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.integers(0, 1)))
def test_fewer_different_requests_than_it_takes_never_leave_a_pod_out(requests: list[int]) -> None:
    assert FAILURES > 2
    health = Health({})
    for request in requests:
        health.failed(0.0, request)
    assert health.open(0.0)
