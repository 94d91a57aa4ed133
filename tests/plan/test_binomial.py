"""Exact bounds, held against sums of fractions."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunefleet.plan.binomial import lower_median_rank, lower_rate_bound, upper_tail

SIZES = st.integers(1, 150)
RATES = st.integers(1, 999).map(lambda n: n / 1000)
SIGNIFICANCES = st.sampled_from((0.2, 0.05, 0.025, 0.001))


def exact_upper_tail(successes: int, trials: int, rate: float) -> Fraction:
    share = Fraction(rate)
    return sum(
        (comb(trials, n) * share**n * (1 - share) ** (trials - n) for n in range(max(0, successes), trials + 1)),
        start=Fraction(0),
    )


@given(SIZES, st.data(), RATES)
@settings(deadline=None)
def test_the_tail_is_the_sum_of_its_terms(trials: int, data: st.DataObject, rate: float) -> None:
    successes = data.draw(st.integers(0, trials + 1))
    exact = float(exact_upper_tail(successes, trials, rate))
    assert upper_tail(successes, trials, rate) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("rate", "tail"), [(0.0, 0.0), (1.0, 1.0)])
def test_certain_and_impossible_rates(rate: float, tail: float) -> None:
    assert upper_tail(3, 10, rate) == tail
    assert upper_tail(0, 10, rate) == 1


@given(SIZES, st.data(), SIGNIFICANCES)
@settings(deadline=None)
def test_the_rate_bound_is_where_the_tail_is_the_significance(
    trials: int, data: st.DataObject, significance: float
) -> None:
    successes = data.draw(st.integers(1, trials))
    bound = lower_rate_bound(successes, trials, significance)
    assert 0 < bound < successes / trials
    assert float(exact_upper_tail(successes, trials, bound)) == pytest.approx(significance, rel=1e-6)


@given(SIZES, SIGNIFICANCES)
@settings(deadline=None)
def test_the_rate_bound_rises_with_the_successes(trials: int, significance: float) -> None:
    bounds = [lower_rate_bound(n, trials, significance) for n in range(trials + 1)]
    assert bounds[0] == 0
    assert bounds == sorted(bounds)


@given(SIZES, SIGNIFICANCES)
@settings(deadline=None)
def test_the_median_rank_is_the_highest_that_keeps_to_the_significance(size: int, significance: float) -> None:
    def wrong(rank: int) -> Fraction:
        """The order statistic is above the median when fewer than `rank` of the sample are below it."""
        return 1 - exact_upper_tail(rank, size, 0.5)

    rank = lower_median_rank(size, significance)
    assert rank <= (size + 1) // 2
    assert rank == 0 or wrong(rank) <= significance
    assert wrong(rank + 1) > significance


def test_textbook_values() -> None:
    """Clopper and Pearson's lower 97.5 % limit for 10 of 100; the median's 95 % interval of 20 is from the 6th on."""
    assert lower_rate_bound(10, 100, 0.025) == pytest.approx(0.0490, abs=1e-4)
    assert lower_median_rank(20, 0.025) == 6


def test_millions_of_requests() -> None:
    assert lower_rate_bound(10_000, 1_000_000, 0.025) == pytest.approx(0.009806, abs=1e-5)
    assert lower_median_rank(1_000_000, 0.025) == pytest.approx(500_000 - 980, abs=2)
