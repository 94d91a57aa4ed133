"""Limits: never more than the limit, whatever comes when; and nothing of it is lost."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tunefleet.gateway.limits import MINUTE, Bucket, Limits, duration, estimate_of, tokens_of

CAPACITIES = st.integers(1, 1000)
STEPS = st.lists(st.tuples(st.floats(0, 90), st.integers(1, 50)), max_size=60)


@given(CAPACITIES, STEPS)
def test_in_any_time_no_more_is_taken_than_a_full_bucket_and_what_flows_in(
    capacity: int, steps: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(capacity, 0.0), 0.0
    taken: list[tuple[float, int]] = []
    for pause, amount in steps:
        now += pause
        if amount <= capacity and not bucket.wait(amount, now):
            bucket.spend(amount, now)
            taken.append((now, amount))
    for first, (start, _) in enumerate(taken):
        total = 0
        for end, amount in taken[first:]:
            total += amount
            assert total <= capacity * (1 + (end - start) / MINUTE) + 1e-6


@given(CAPACITIES, STEPS, st.integers(1, 1000))
def test_who_waits_as_long_as_said_is_served(capacity: int, steps: list[tuple[float, int]], amount: int) -> None:
    bucket, now = Bucket(capacity, 0.0), 0.0
    for pause, spent in steps:
        now += pause
        bucket.spend(spent, now)
    later = now + bucket.wait(amount, now)
    assert bucket.wait(amount, later) == pytest.approx(0.0, abs=1e-6)
    assert bucket.level <= capacity


@given(CAPACITIES, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_clock_that_goes_back_gives_nothing(capacity: int, now: float, back: float) -> None:
    bucket = Bucket(capacity, now)
    bucket.spend(capacity, now)
    assert bucket.wait(1, now - back) > 0
    assert bucket.left(now) == 0


@given(CAPACITIES, st.integers(0, 5000), st.integers(0, 5000))
def test_what_is_given_back_never_overflows(capacity: int, reserved: int, refund: int) -> None:
    bucket = Bucket(capacity, 0.0)
    bucket.spend(reserved, 0.0)
    bucket.spend(-refund, 0.0)
    assert bucket.level == min(capacity, capacity - reserved + refund)


@given(CAPACITIES, CAPACITIES, st.integers(0, 1000))
def test_another_limit_leaves_the_bucket_as_full_as_it_is(before: int, after: int, spent: int) -> None:
    bucket = Bucket(before, 0.0)
    bucket.spend(spent, 0.0)
    full = bucket.level / before
    bucket.resize(after, 0.0)
    assert bucket.level / after == pytest.approx(full)


@dataclass
class _Request:
    estimate: int
    used: int


@dataclass
class _Model:
    """What a tenant did, as the test saw it."""

    admitted: list[float] = field(default_factory=list)
    running: list[_Request] = field(default_factory=list)
    used: int = 0


class LimitsMachine(RuleBasedStateMachine):
    """Requests of a tenant begin and end as they like."""

    REQUESTS, TOKENS, CONCURRENT = 6, 500, 3

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.limits = Limits()
        self.limits.limit(self.REQUESTS, self.TOKENS, self.CONCURRENT, self.now)
        self.seen = _Model()

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(estimate=st.integers(0, 2000), used=st.integers(0, 2000))
    def asks(self, estimate: int, used: int) -> None:
        if self.limits.exceeded(estimate, self.now):
            return
        self.limits.begin(estimate, self.now)
        self.seen.admitted.append(self.now)
        self.seen.running.append(_Request(estimate, used))

    @precondition(lambda self: self.seen.running)
    @rule()
    def ends(self) -> None:
        request = self.seen.running.pop(0)
        self.limits.end(request.estimate, request.used, self.now)
        self.seen.used += request.used

    @invariant()
    def as_many_at_a_time_as_may(self) -> None:
        assert self.limits.running == len(self.seen.running) <= self.CONCURRENT

    @invariant()
    def as_many_requests_as_may(self) -> None:
        recent = [time for time in self.seen.admitted if time > self.now - MINUTE]
        assert len(recent) <= 2 * self.REQUESTS

    @invariant()
    def every_token_is_paid(self) -> None:
        """What was used is never more than what flowed in, and what is owed now."""
        tokens = self.limits.tokens
        assert tokens is not None
        flowed = self.TOKENS * (1 + self.now / MINUTE)
        owed = max(0.0, -tokens.left(self.now))
        reserved = sum(min(request.estimate, self.TOKENS) for request in self.seen.running)
        assert self.seen.used + reserved <= flowed + owed + 1e-6

    @invariant()
    def others_are_told_what_was_spent(self) -> None:
        reserved = sum(min(request.estimate, self.TOKENS) for request in self.seen.running)
        assert self.limits.spent_requests == len(self.seen.admitted)
        assert self.limits.spent_tokens == self.seen.used + reserved


TestLimits = LimitsMachine.TestCase


def test_a_prompt_larger_than_the_limit_needs_a_full_bucket_and_leaves_it_empty() -> None:
    limits = Limits()
    limits.limit(0, 100, 0, 0.0)
    assert limits.exceeded(5000, 0.0) == ""
    limits.begin(5000, 0.0)
    assert limits.tokens is not None
    assert limits.tokens.left(0.0) == 0
    assert limits.exceeded(5000, 59.0) == "tokens"
    limits.end(5000, 40, 59.0)
    assert limits.tokens.left(59.0) == 100


def test_a_long_answer_is_paid_by_waiting() -> None:
    limits = Limits()
    limits.limit(0, 60, 0, 0.0)
    limits.begin(10, 0.0)
    limits.end(10, 120, 0.0)
    assert limits.exceeded(0, 0.0) == "tokens"
    assert limits.exceeded(0, 59.9) == "tokens"
    assert limits.exceeded(0, 60.1) == ""


def test_what_runs_elsewhere_counts_as_running() -> None:
    limits = Limits()
    limits.limit(0, 0, 2, 0.0)
    limits.begin(0, 0.0)
    limits.elsewhere = 1
    assert limits.exceeded(0, 0.0) == "concurrent"
    limits.elsewhere = 0
    assert limits.exceeded(0, 0.0) == ""


def test_what_others_have_left_is_believed_when_it_is_less() -> None:
    limits = Limits()
    limits.limit(10, 100, 0, 0.0)
    limits.lower(4.0, 200.0, 0.0)
    assert limits.requests is not None
    assert limits.tokens is not None
    assert (limits.requests.left(0.0), limits.tokens.left(0.0)) == (4.0, 100.0)
    limits.lower(None, None, 0.0)
    assert limits.requests.left(0.0) == 4.0


def test_a_limit_that_goes_is_gone() -> None:
    limits = Limits()
    limits.limit(1, 1, 1, 0.0)
    limits.begin(1, 0.0)
    assert limits.exceeded(0, 0.0)
    limits.limit(0, 0, 0, 0.0)
    assert limits.exceeded(10**6, 0.0) == ""


def test_estimates_and_counts() -> None:
    assert [estimate_of(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert tokens_of(7, prompt=20, completion=30, events=99) == 50
    assert tokens_of(7, prompt=-1, completion=-1, events=12) == 19


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.02, "20ms"), (1, "1s"), (1.5, "1.5s"), (59.9996, "1m0s"), (360, "6m0s"), (61.25, "1m1.25s")],
)
def test_durations_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds).decode() == text
