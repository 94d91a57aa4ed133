"""Pauses between tries."""

from hypothesis import given
from hypothesis import strategies as st

from tunefleet.agent.settings import Timing


@given(st.integers(1, 10_000))
def test_pauses_grow_to_the_longest_and_no_further(failures: int) -> None:
    timing = Timing()
    assert timing.first_retry <= timing.retry(failures) <= timing.longest_retry
    assert timing.retry(failures) <= timing.retry(failures + 1)


def test_the_first_pause_is_short() -> None:
    assert Timing().retry(1) == Timing().first_retry
