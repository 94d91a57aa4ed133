"""Whether a canary is worse than it may be, by what gateways counted. docs/design/canary.md has the reasoning.

Two questions, each answered by an exact one-sided bound that supposes nothing of how requests are distributed:
- Error rate: worse when the lower Clopper-Pearson bound of the canary's rate is above maxErrorRate.
- Time to first token: worse when the lower bound of the canary's median is more than maxTimeToFirstTokenRatio times the
  upper bound of the serving version's. Both bounds are edges of histogram buckets, on the side that favours the canary.

Each question may raise a false alarm in a step with a probability of at most SIGNIFICANCE: that is the chance of taking
a version back that is exactly as bad as it may be, however often it is looked at. Half of it belongs to the look at the
step's end. The looks before, at minRequests times 1, 2, 4, ..., have a quarter, an eighth, ...: their sum stays below
the other half, and the union bound holds whatever the looks have to do with each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from tunefleet.api.canary import CanaryAnalysis, CanarySample

from .binomial import lower_median_rank, lower_rate_bound
from .demand import FIRST_TOKEN_BOUNDS, VersionSample

SIGNIFICANCE = 0.05
"""The highest probability of a false alarm, for each question in each step."""


@dataclass(frozen=True)
class Counts:
    """What gateways counted of one version since the step began."""

    requests: int = 0
    errors: int = 0
    first_token: tuple[int, ...] = ()
    """Streamed answers by time to first token, in buckets as FIRST_TOKEN_BOUNDS has them."""

    @property
    def streamed(self) -> int:
        """Answers whose time to first token was taken."""
        return sum(self.first_token)


@dataclass(frozen=True)
class Comparison:
    """Both versions in the same step."""

    canary: Counts
    stable: Counts


def total(samples: Iterable[VersionSample]) -> Counts:
    """Several gateways' counts of one version."""
    taken = list(samples)
    buckets = len(FIRST_TOKEN_BOUNDS) + 1
    histogram = tuple(sum(s.first_token[n] for s in taken if n < len(s.first_token)) for n in range(buckets))
    return Counts(sum(s.requests for s in taken), sum(min(s.errors, s.requests) for s in taken), histogram)


def sample_of(counts: Counts) -> CanarySample:
    """As it stands in a status."""
    return CanarySample(
        requests=counts.requests, errors=counts.errors, median_time_to_first_token_seconds=median_estimate(counts)
    )


def look_due(analysis: CanaryAnalysis, requests: int, former: int) -> bool:
    """Whether a look before the step's end is due; `former`: the canary's requests at the last one, 0 before any."""
    if requests < analysis.min_requests:
        return False
    return former < analysis.min_requests or _doublings(analysis, requests) > _doublings(analysis, former)


def significance_of(analysis: CanaryAnalysis, requests: int, *, at_end: bool) -> float:
    """The share of SIGNIFICANCE that one look has."""
    return SIGNIFICANCE / 2 if at_end else SIGNIFICANCE / 4 / 2 ** _doublings(analysis, requests)


def fault(analysis: CanaryAnalysis, compared: Comparison, significance: float) -> str | None:
    """What the canary does worse than it may, with the figures; None when nothing shows that it does."""
    return _failing(analysis, compared, significance) or _slow(analysis, compared, significance)


def median_estimate(counts: Counts) -> float | None:
    """Seconds: the middle of the bucket that the median is in, to three digits; None without any streamed answer."""
    if counts.streamed == 0:
        return None
    low, high = _bucket(counts.first_token, (counts.streamed + 1) // 2)
    return float(f"{(low + min(high, FIRST_TOKEN_BOUNDS[-1])) / 2:.3g}")


def median_bounds(counts: Counts, significance: float) -> tuple[float, float]:
    """Seconds between which the median is; each bound is wrong with at most `significance`. (0, inf): too few."""
    rank = lower_median_rank(counts.streamed, significance)
    if rank == 0:
        return 0.0, float("inf")
    low, _ = _bucket(counts.first_token, rank)
    _, high = _bucket(counts.first_token, counts.streamed + 1 - rank)
    return low, high


def _failing(analysis: CanaryAnalysis, compared: Comparison, significance: float) -> str | None:
    canary, limit = compared.canary, analysis.max_error_rate
    if limit is None:
        return None
    bound = lower_rate_bound(canary.errors, canary.requests, significance)
    if bound <= limit:
        return None
    return (
        f"{_failed(canary)}, at least {bound:.2%} with {1 - significance:.2%} confidence, and maxErrorRate is "
        f"{limit:g}; of the serving version {_failed(compared.stable)}"
    )


def _failed(counts: Counts) -> str:
    return f"{counts.errors} of {counts.requests} requests failed"


def _slow(analysis: CanaryAnalysis, compared: Comparison, significance: float) -> str | None:
    """Each bound has half the significance, so that both hold together."""
    limit = analysis.max_time_to_first_token_ratio
    if limit is None:
        return None
    low, _ = median_bounds(compared.canary, significance / 2)
    _, high = median_bounds(compared.stable, significance / 2)
    if low <= limit * high:
        return None
    return (
        f"the median time to first token is {median_estimate(compared.canary):g} s, of the serving version "
        f"{median_estimate(compared.stable):g} s, at least {low / high:.2f} times as long with {1 - significance:.2%} "
        f"confidence ({compared.canary.streamed} and {compared.stable.streamed} streamed answers), and "
        f"maxTimeToFirstTokenRatio is {limit:g}"
    )


def _doublings(analysis: CanaryAnalysis, requests: int) -> int:
    """How often minRequests can be doubled within so many requests."""
    return (requests // analysis.min_requests).bit_length() - 1


def _bucket(histogram: tuple[int, ...], rank: int) -> tuple[float, float]:
    """Edges of the bucket with the answer of this rank, from 1."""
    index = next(n for n, below in enumerate(accumulate(histogram)) if below >= rank)
    edges = (0.0, *FIRST_TOKEN_BOUNDS, float("inf"))
    return edges[index], edges[index + 1]
