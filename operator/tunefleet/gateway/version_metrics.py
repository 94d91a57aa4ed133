"""The metrics of versions as text. There may be thousands of them, so each piece is of one version."""

from collections.abc import Iterator, Sequence

from . import names
from .exposition import HistogramText, Sample, head, labelled, sample_lines
from .names import Family
from .series import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, PER_TOKEN_BOUNDS, Series

_DURATION = HistogramText(names.DURATION, DURATION_BOUNDS)
_FIRST_TOKEN = HistogramText(names.FIRST_TOKEN, FIRST_TOKEN_BOUNDS)
_PER_TOKEN = HistogramText(names.PER_TOKEN, PER_TOKEN_BOUNDS)


def version_pieces(versions: Sequence[Series]) -> Iterator[str]:
    """All metrics of all versions, metric by metric."""
    for family, read in _NUMBERS:
        yield head(family)
        for series in versions:
            yield "".join(sample_lines(family, read(series)))
    for family, pieces in _HISTOGRAMS:
        yield head(family)
        for series in versions:
            yield from pieces(series)


def _requests(series: Series) -> Iterator[Sample]:
    for code, number in tuple(series.requests.items()):
        yield (series.model, series.version, code), number


def _running(series: Series) -> Iterator[Sample]:
    yield (series.model, series.version), series.running


def _tokens(series: Series) -> Iterator[Sample]:
    yield (series.model, series.version, "input"), series.prompt_tokens
    yield (series.model, series.version, "output"), series.completion_tokens


def _without_usage(series: Series) -> Iterator[Sample]:
    yield (series.model, series.version), series.without_usage


def _retries(series: Series) -> Iterator[Sample]:
    yield (series.model, series.version), series.retries


def _durations(series: Series) -> Iterator[str]:
    for path, latency in tuple(series.latency.items()):
        labels = _genai(names.DURATION, series, path)
        yield _DURATION.of(f'{labels},{names.ERROR_LABEL}=""', latency.duration)
        for outcome, histogram in tuple(latency.failed.items()):
            yield _DURATION.of(f'{labels},{names.ERROR_LABEL}="{outcome}"', histogram)


def _first_tokens(series: Series) -> Iterator[str]:
    for path, latency in tuple(series.latency.items()):
        if any(latency.first_token.counts):
            yield _FIRST_TOKEN.of(_genai(names.FIRST_TOKEN, series, path), latency.first_token)


def _per_tokens(series: Series) -> Iterator[str]:
    for path, latency in tuple(series.latency.items()):
        if any(latency.per_token.counts):
            yield _PER_TOKEN.of(_genai(names.PER_TOKEN, series, path), latency.per_token)


def _genai(family: Family, series: Series, path: str) -> str:
    exact = f"{series.model}@{series.version}" if series.version else series.model
    return labelled(family.labels[:4], (names.operation_of(path), names.PROVIDER, series.model, exact))


_NUMBERS = (
    (names.REQUESTS, _requests),
    (names.IN_FLIGHT, _running),
    (names.TOKENS, _tokens),
    (names.WITHOUT_USAGE, _without_usage),
    (names.RETRIES, _retries),
)
_HISTOGRAMS = ((names.DURATION, _durations), (names.FIRST_TOKEN, _first_tokens), (names.PER_TOKEN, _per_tokens))
