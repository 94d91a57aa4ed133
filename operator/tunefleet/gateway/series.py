"""Counts of requests as plain numbers: requests add to them, and metrics.py reads them when it is scraped."""

from bisect import bisect_left
from typing import final

# OpenTelemetry's boundaries for gen_ai.server.*, in seconds.
DURATION_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PER_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
HELD_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)


@final
class Histogram:
    """Counts by upper bound, and the sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Not cumulative; the last one is of what lies above all bounds."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more; a clock that seems to go back counts as no time."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0.0:
            self.total += value


@final
class Latency:
    """The times of one operation (a path) of one version, in seconds."""

    def __init__(self) -> None:
        self.duration = Histogram(DURATION_BOUNDS)
        """Of requests with outcome 2xx."""
        self.failed: dict[str, Histogram] = {}
        """Of the others, by outcome."""
        self.first_token = Histogram(FIRST_TOKEN_BOUNDS)
        self.per_token = Histogram(PER_TOKEN_BOUNDS)


@final
class Series:
    """The counts of one version."""

    def __init__(self, model: str, version: str) -> None:
        self.model = model
        """Served name."""
        self.version = version
        """`v4`; empty for what has no versions, such as an external upstream's model."""
        self.running = 0
        """Requests at engines now."""
        self.begun = 0
        """Requests that went to an engine since `Demand` last looked."""
        self.requests: dict[str, int] = {}
        """Requests that ended at an engine, by outcome."""
        self.latency: dict[str, Latency] = {}
        """By path."""
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.without_usage = 0
        """Answers with status 200 that did not say how many tokens they took."""
        self.retries = 0


@final
class Account:
    """What the keys of one tenant used."""

    def __init__(self) -> None:
        self.requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0


@final
class Counters:
    """The counts of the process."""

    def __init__(self) -> None:
        self.refused: dict[str, int] = {}
        """Errors of the gateway's own, by code."""
        self.ejections: dict[str, int] = {}
        """Pods that were left out, by reason."""
        self.fallbacks: dict[str, int] = {}
        """Requests that something else answered, by Record.fallback."""
        self.held = 0
        """Requests that wait now."""
        self.held_outcomes: dict[str, int] = {}
        self.held_seconds = Histogram(HELD_BOUNDS)
        self.connections = 0
        """Of clients, now."""
        self.models = 0
        """Served names that some engine can answer."""
        self.routes = 0
        """Names in the route table."""
        self.table_builds = 0
        self.table_seconds = 0.0
        """That the last route table took."""
        self.audit_dropped = 0
        """Audit lines for which there was no room."""


def count(counts: dict[str, int], key: str) -> None:
    """One more of these."""
    counts[key] = counts.get(key, 0) + 1
