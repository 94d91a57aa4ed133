"""The breaker opens when a whole endpoint fails, not when one version does, and closes by one request at a time."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tunefleet.gateway.breaker import (
    CLOSED,
    FAILURE_SECONDS,
    FAILURES,
    FIRST_PAUSE,
    HALF_OPEN,
    LAST_PAUSE,
    OPEN,
    PROBE_SECONDS,
    SUCCESS_SECONDS,
    Breaker,
)


def broken(now: float = 100.0) -> Breaker:
    """One that has just opened."""
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.note(False, now, "base")
    assert breaker.state(now) == OPEN
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.note(False, 1.0, "base")
    assert not breaker.open(1.0)
    breaker.note(False, 2.0, "base")
    assert breaker.open(2.0)


def test_an_answer_in_between_makes_them_count_anew() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.note(False, 1.0, "base")
    breaker.note(True, 1.0, "base")
    for _ in range(FAILURES - 1):
        breaker.note(False, 1.0, "base")
    assert breaker.state(1.0) == CLOSED


def test_one_bad_version_does_not_take_the_others_away() -> None:
    breaker = Breaker()
    for second in range(1000):
        breaker.note(False, float(second), "bad")
        if second % int(SUCCESS_SECONDS - 1) == 0:
            breaker.note(True, float(second), "good")
        assert not breaker.open(float(second))


def test_a_version_that_answered_long_ago_says_nothing_of_now() -> None:
    breaker = Breaker()
    breaker.note(True, 0.0, "rare")
    for _ in range(FAILURES):
        breaker.note(False, SUCCESS_SECONDS, "base")
    assert breaker.open(SUCCESS_SECONDS)


def test_the_failures_of_an_endpoint_that_dies_count_whichever_version_they_are_of() -> None:
    breaker = Breaker()
    names = [f"adapter-{n}" for n in range(FAILURES)]
    for name in names:
        breaker.note(True, 1.0, name)
    for name in names:
        assert not breaker.open(1.5)
        breaker.note(False, 1.5, name)
    assert breaker.open(1.5)


def test_failures_that_are_far_apart_are_not_one_trouble() -> None:
    breaker = Breaker()
    for n in range(100):
        breaker.note(False, n * FAILURE_SECONDS / (FAILURES - 1), "base")
    assert not breaker.open(0.0)


def test_one_request_at_a_time_tries_again() -> None:
    breaker = broken(100.0)
    assert breaker.open(100.0 + FIRST_PAUSE - 0.1)
    later = 100.0 + FIRST_PAUSE
    assert not breaker.open(later)
    assert breaker.state(later) == HALF_OPEN
    breaker.sent(later)
    assert breaker.open(later)
    breaker.note(True, later + 1, "base")
    assert breaker.state(later + 1) == CLOSED


def test_a_probe_whose_client_leaves_makes_room_for_another() -> None:
    breaker = broken(100.0)
    later = 100.0 + FIRST_PAUSE
    breaker.sent(later)
    breaker.left()
    assert not breaker.open(later)


def test_a_probe_that_brings_nothing_makes_room_for_another() -> None:
    breaker = broken(100.0)
    later = 100.0 + FIRST_PAUSE
    breaker.sent(later)
    assert breaker.open(later + PROBE_SECONDS - 0.1)
    assert not breaker.open(later + PROBE_SECONDS)


def test_pauses_grow_until_a_probe_is_answered() -> None:
    breaker, now, pauses = broken(100.0), 100.0, []
    for _ in range(6):
        start = now
        while breaker.open(now):
            now += 0.5
        pauses.append(now - start)
        breaker.sent(now)
        breaker.note(False, now, "base")
    assert pauses == [5.0, 10.0, 20.0, 40.0, LAST_PAUSE, LAST_PAUSE]
    while breaker.open(now):
        now += 0.5
    breaker.note(True, now, "base")
    for _ in range(FAILURES):
        breaker.note(False, now, "base")
    assert not breaker.open(now + FIRST_PAUSE)


def test_what_was_sent_before_says_nothing_while_the_pause_lasts() -> None:
    breaker = broken(100.0)
    breaker.note(True, 101.0, "base")
    breaker.note(False, 101.0, "base")
    assert breaker.state(101.0) == OPEN
    assert breaker.state(100.0 + FIRST_PAUSE) == HALF_OPEN


def test_its_memory_is_bounded() -> None:
    breaker = Breaker()
    for n in range(10_000):
        breaker.note(True, float(n), f"version-{n}")
        breaker.note(False, float(n), "bad")
        breaker.forget(float(n))
    assert len(breaker._answered) <= SUCCESS_SECONDS
    assert len(breaker._failures) <= FAILURE_SECONDS + 1


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.floats(0, 30)), max_size=80))
def test_it_never_opens_while_a_version_answers(outcomes: list[tuple[bool, str, float]]) -> None:
    """Nor with fewer failures than FAILURES since the last answer of each version."""
    breaker, now = Breaker(), 0.0
    latest: dict[str, tuple[bool, float]] = {}
    failures = 0
    for ok, name, gap in outcomes:
        now += gap
        breaker.note(ok, now, name)
        latest[name] = (ok, now)
        failures += not ok
        if breaker.state(now) != CLOSED:
            assert failures >= FAILURES
            assert not any(good and at > now - SUCCESS_SECONDS for good, at in latest.values())
            return


class Life(RuleBasedStateMachine):
    """Any course of events: at most one probe at a time, and a way back at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.probes: list[float] = []

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(ok=st.booleans(), name=st.sampled_from("ab"), times=st.integers(1, FAILURES))
    def end(self, ok: bool, name: str, times: int) -> None:
        for _ in range(times):
            self.breaker.note(ok, self.now, name)
        self.probes.clear()

    @rule()
    def ask(self) -> None:
        if not self.breaker.open(self.now):
            half_open = self.breaker.state(self.now) == HALF_OPEN
            self.breaker.sent(self.now)
            if half_open:
                assert all(self.now - at >= PROBE_SECONDS for at in self.probes)
                self.probes.append(self.now)

    @rule()
    def leave(self) -> None:
        self.breaker.left()
        self.probes.clear()

    @invariant()
    def it_can_close(self) -> None:
        soon = self.now + LAST_PAUSE + PROBE_SECONDS
        assert not self.breaker.open(soon)


TestLife = Life.TestCase
