"""When a canary counts as worse."""

import random
import re
from bisect import bisect_left
from math import exp
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunefleet.api.canary import CanaryAnalysis
from tunefleet.plan.binomial import lower_median_rank, lower_rate_bound, upper_tail
from tunefleet.plan.canary_analysis import (
    SIGNIFICANCE,
    Comparison,
    Counts,
    fault,
    look_due,
    median_bounds,
    median_estimate,
    sample_of,
    significance_of,
    total,
)
from tunefleet.plan.demand import FIRST_TOKEN_BOUNDS, VersionSample

BY_ERRORS = CanaryAnalysis(min_requests=50, max_error_rate=0.05)
BY_TIME = CanaryAnalysis(min_requests=50, max_time_to_first_token_ratio=1.3)
DOCUMENT = Path(__file__).parents[2] / "docs" / "design" / "canary.md"


def timed(seconds: list[float]) -> Counts:
    histogram = [0] * (len(FIRST_TOKEN_BOUNDS) + 1)
    for one in seconds:
        histogram[bisect_left(FIRST_TOKEN_BOUNDS, one)] += 1
    return Counts(requests=len(seconds), first_token=tuple(histogram))


def failing(errors: int, requests: int) -> Comparison:
    return Comparison(Counts(requests, errors), Counts(1000, 2))


def lognormal(median: float, spread: float, source: random.Random, size: int) -> list[float]:
    return [median * exp(source.gauss(0, spread)) for _ in range(size)]


@given(st.integers(0, 5000), st.floats(0, 1))
@settings(deadline=None)
def test_without_errors_it_is_never_worse(requests: int, limit: float) -> None:
    analysis = CanaryAnalysis(max_error_rate=limit)
    assert fault(analysis, failing(0, requests), SIGNIFICANCE) is None


@given(st.integers(1, 400), st.data(), st.sampled_from((0.0, 0.01, 0.05, 0.5)))
@settings(deadline=None)
def test_more_errors_never_make_it_better(requests: int, data: st.DataObject, limit: float) -> None:
    analysis = CanaryAnalysis(max_error_rate=limit)
    fewer = data.draw(st.integers(0, requests))
    more = data.draw(st.integers(fewer, requests))
    if fault(analysis, failing(fewer, requests), SIGNIFICANCE):
        assert fault(analysis, failing(more, requests), SIGNIFICANCE)


@given(st.integers(1, 500), st.data(), st.sampled_from((0.0, 0.01, 0.05, 0.5)))
@settings(deadline=None)
def test_a_share_of_errors_within_the_limit_is_never_worse(requests: int, data: st.DataObject, limit: float) -> None:
    errors = data.draw(st.integers(0, int(requests * limit)))
    assert fault(CanaryAnalysis(max_error_rate=limit), failing(errors, requests), SIGNIFICANCE) is None


def test_a_limit_of_zero_takes_the_first_error() -> None:
    assert fault(CanaryAnalysis(max_error_rate=0), failing(1, 1000), SIGNIFICANCE)


def test_the_figures_that_decided_are_told() -> None:
    assert fault(BY_ERRORS, failing(12, 60), 0.025) == (
        "12 of 60 requests failed, at least 10.78% with 97.50% confidence, and maxErrorRate is 0.05; "
        "of the serving version 2 of 1000 requests failed"
    )
    slow = fault(BY_TIME, Comparison(timed([2.0] * 60), timed([0.5] * 900)), 0.025)
    assert slow is not None
    assert "(60 and 900 streamed answers)" in slow
    assert "maxTimeToFirstTokenRatio is 1.3" in slow


def test_what_is_not_asked_for_is_not_judged() -> None:
    both = Comparison(Counts(100, 100, timed([9.0] * 100).first_token), timed([0.1] * 100))
    assert fault(CanaryAnalysis(), both, SIGNIFICANCE) is None
    assert fault(BY_TIME, failing(100, 100), SIGNIFICANCE) is None


@given(st.lists(st.floats(0.0005, 200), min_size=1, max_size=300))
@settings(deadline=None)
def test_a_version_is_never_slower_than_itself(seconds: list[float]) -> None:
    same = timed(seconds)
    analysis = CanaryAnalysis(max_time_to_first_token_ratio=1)
    assert fault(analysis, Comparison(same, same), SIGNIFICANCE) is None


@given(st.lists(st.floats(0.0005, 200), max_size=300), st.sampled_from((0.2, 0.05, 0.001)))
@settings(deadline=None)
def test_the_median_of_the_sample_is_within_its_bounds(seconds: list[float], significance: float) -> None:
    low, high = median_bounds(timed(seconds), significance)
    assert 0 <= low < high
    if seconds:
        assert low <= sorted(seconds)[(len(seconds) - 1) // 2] <= high


def test_too_few_answers_show_nothing() -> None:
    few = Comparison(timed([90.0] * 4), timed([0.01] * 1000))
    assert fault(BY_TIME, few, SIGNIFICANCE / 2) is None
    assert fault(BY_TIME, Comparison(timed([90.0] * 1000), timed([0.01] * 4)), SIGNIFICANCE / 2) is None


def test_times_above_the_last_bucket_count_as_slow() -> None:
    assert fault(BY_TIME, Comparison(timed([500.0] * 60), timed([0.5] * 60)), SIGNIFICANCE)
    assert median_estimate(timed([500.0])) == pytest.approx(FIRST_TOKEN_BOUNDS[-1], rel=1e-2)
    assert median_estimate(Counts(requests=3)) is None


def test_gateways_are_summed() -> None:
    one = VersionSample(engine_name="a", requests=10, errors=1, first_token=(1, 2))
    other = VersionSample(engine_name="a", requests=5, errors=7, first_token=(0, 0, 4))
    summed = total([one, other])
    assert (summed.requests, summed.errors) == (15, 6), "no more errors than requests"
    assert summed.first_token[:4] == (1, 2, 4, 0)
    assert sample_of(summed).requests == 15
    assert total([]) == Counts(first_token=(0,) * (len(FIRST_TOKEN_BOUNDS) + 1))


def test_looks_are_due_when_the_requests_have_doubled() -> None:
    looked, looks = 0, []
    for requests in range(1000):
        if look_due(BY_ERRORS, requests, looked):
            looked = requests
            looks.append(requests)
    assert looks == [50, 100, 200, 400, 800]


@given(st.lists(st.integers(0, 10_000), max_size=40))
@settings(deadline=None)
def test_all_looks_of_a_step_share_one_significance(reports: list[int]) -> None:
    """Also when gateways begin counting anew in between."""
    looked, spent = 0, significance_of(BY_ERRORS, 50, at_end=True)
    for requests in reports:
        if look_due(BY_ERRORS, requests, looked):
            looked = requests
            spent += significance_of(BY_ERRORS, requests, at_end=False)
    assert spent <= SIGNIFICANCE


def false_alarms(analysis: CanaryAnalysis, canary: list[Counts], stable: list[Counts]) -> bool:
    """One step with all its looks."""
    looked = 0
    for new, old in zip(canary, stable, strict=True):
        if look_due(analysis, new.requests, looked):
            looked = new.requests
            if fault(analysis, Comparison(new, old), significance_of(analysis, looked, at_end=False)):
                return True
    last = Comparison(canary[-1], stable[-1])
    return fault(analysis, last, significance_of(analysis, canary[-1].requests, at_end=True)) is not None


def test_a_version_that_fails_as_often_as_it_may_is_seldom_taken_back() -> None:
    source, runs = random.Random(1), 1500
    alarms = 0
    for _ in range(runs):
        failed = [source.random() < 0.05 for _ in range(500)]
        counts = [Counts(n, sum(failed[:n])) for n in range(10, 501, 10)]
        alarms += false_alarms(BY_ERRORS, counts, counts)
    assert 0 < alarms / runs <= SIGNIFICANCE


def test_a_version_that_is_as_slow_as_it_may_be_is_seldom_taken_back() -> None:
    source, runs = random.Random(2), 300
    alarms = 0
    for _ in range(runs):
        new, old = lognormal(1.3, 0.5, source, 200), lognormal(1.0, 0.5, source, 400)
        sizes = (50, 100, 200)
        alarms += false_alarms(BY_TIME, [timed(new[:n]) for n in sizes], [timed(old[: 2 * n]) for n in sizes])
    assert alarms / runs <= SIGNIFICANCE


def test_a_version_that_is_much_worse_is_taken_back() -> None:
    source, runs = random.Random(3), 100
    found = 0
    for _ in range(runs):
        failed = [source.random() < 0.25 for _ in range(50)]
        slow, quick = lognormal(3.0, 0.5, source, 100), lognormal(1.0, 0.5, source, 1000)
        found += bool(fault(BY_ERRORS, failing(sum(failed), 50), SIGNIFICANCE / 2))
        found += bool(fault(BY_TIME, Comparison(timed(slow), timed(quick)), SIGNIFICANCE / 2))
    assert found / runs / 2 > 0.9


def error_rows() -> list[tuple[str, ...]]:
    """Requests, limit, errors that take it back at the step's end, true rate that is found nine times of ten."""
    rows: list[tuple[str, ...]] = []
    for requests in (50, 200, 1000, 5000):
        for limit in (0.01, 0.05):
            level = SIGNIFICANCE / 2
            errors = next(n for n in range(requests + 1) if lower_rate_bound(n, requests, level) > limit)
            rate = next(n / 1000 for n in range(1000) if upper_tail(errors, requests, n / 1000) >= 0.9)
            rows.append((str(requests), f"{limit:.0%}", str(errors), f"{rate:.1%}"))
    return rows


def time_rows() -> list[tuple[str, ...]]:
    """Streamed answers of each, the canary's quantile that is compared, and the ratio above which it is surely found
    where times are log-normal with a spread of 0.5 and the limit is 1.3."""
    rows: list[tuple[str, ...]] = []
    for size in (50, 200, 1000, 5000):
        quantile = lower_median_rank(size, SIGNIFICANCE / 4) / size
        noise = exp(-2 * 0.5 * NormalDist().inv_cdf(quantile))
        step = FIRST_TOKEN_BOUNDS[40] / FIRST_TOKEN_BOUNDS[39]
        rows.append((str(size), f"{quantile:.0%}", f"{1.3 * noise:.2f}", f"{1.3 * noise * step**2:.2f}"))
    return rows


def test_the_documented_resolution_is_the_one_that_follows() -> None:
    documented = [tuple(cells) for cells in _rows(DOCUMENT.read_text(), columns=4)]
    for row in (*error_rows(), *time_rows()):
        assert row in documented


def _rows(text: str, columns: int) -> list[list[str]]:
    rows = [re.split(r" *\| *", line.strip(" |")) for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if len(row) == columns]
