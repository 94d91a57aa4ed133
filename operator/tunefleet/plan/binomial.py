"""Exact one-sided confidence bounds that rest on the binomial distribution alone, so they hold for any number of
requests and whatever the times are distributed like.

A rate: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26 (1934). A median: order statistics, as in David and Nagaraja, "Order Statistics", 3rd edition,
section 7.1.
"""

from collections.abc import Iterator
from math import exp, lgamma, log, log1p

_NEGLIGIBLE = 1e-17
"""Share of a sum below which a falling term no longer changes it."""

_HALVINGS = 50
"""Of the interval from 0 to 1: the bound is found to 1e-15."""


def upper_tail(successes: int, trials: int, rate: float) -> float:
    """Probability of at least so many successes, each trial succeeding with `rate`."""
    if successes <= 0:
        return 1.0
    if successes > trials or rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    if successes > trials * rate:
        return _sum(_rising(successes, trials, rate))
    return max(0.0, 1 - _sum(_rising(trials - successes + 1, trials, 1 - rate)))


def lower_rate_bound(successes: int, trials: int, significance: float) -> float:
    """The highest rate that the true one is above, but for a chance of `significance`. 0 without successes."""
    if successes <= 0:
        return 0.0
    low, high = 0.0, successes / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if upper_tail(successes, trials, middle) > significance else (middle, high)
    return low


def lower_median_rank(size: int, significance: float) -> int:
    """The rank, from 1, of the order statistic that is above the median with a chance of at most `significance`; 0 when
    there is none. By symmetry the one of rank size + 1 - this is below the median as rarely.
    """
    low, high = 0, size // 2 + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _at_most(middle - 1, size) <= significance else (low, middle)
    return low


def _at_most(successes: int, trials: int) -> float:
    return upper_tail(trials - successes, trials, 0.5)


def _rising(successes: int, trials: int, rate: float) -> Iterator[float]:
    """Probabilities of so many successes, one more and so on; they fall, since `successes` is above the mean."""
    chosen = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
    term = exp(chosen + successes * log(rate) + (trials - successes) * log1p(-rate))
    for count in range(successes, trials + 1):
        yield term
        term *= (trials - count) / (count + 1) * rate / (1 - rate)


def _sum(terms: Iterator[float]) -> float:
    total = 0.0
    for term in terms:
        total += term
        if term <= total * _NEGLIGIBLE:
            break
    return min(1.0, total)
