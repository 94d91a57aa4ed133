"""What Prometheus sees of the gateway. Labels are bounded: models of the route table, versions, code classes.

The series of a version that left the table go when its last request has ended, so years of versions do not add up.
"""

from collections.abc import Callable, Container, Iterable
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from tunefleet.plan.route_table import split_engine_name

disable_created_metrics()  # type: ignore[no-untyped-call,unused-ignore]  # a second series for every counter

_LABELS = ("model", "version")
_FIRST_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_HELD_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)

DISCONNECTED = "disconnected"
"""The code class of a request whose client left before the end."""


@lru_cache(maxsize=16384)
def labels_of(engine_name: str) -> tuple[str, str]:
    """Served name and version, `v4`."""
    parts = split_engine_name(engine_name)
    return (parts[0], f"v{parts[1]}") if parts else (engine_name, "")


class VersionMetrics:
    """The series of one version, looked up once."""

    def __init__(self, metrics: "Metrics", labels: tuple[str, str]) -> None:
        self._labels = labels
        self._requests = metrics.requests
        self._codes: dict[str, Callable[[], None]] = {}
        self._gauge = metrics.in_flight.labels(*self._labels)
        self._broken = metrics.broken_streams.labels(*self._labels)
        self.first_token = metrics.first_token.labels(*self._labels)
        self.running = 0
        self.begun = 0
        """Requests since `Demand` last looked."""

    def started(self) -> None:
        """A request goes to an engine."""
        self.running += 1
        self.begun += 1
        self._gauge.inc()

    def finished(self, code: str | None) -> None:
        """It is over: `2xx`, `4xx`, `5xx` or DISCONNECTED; None when it goes to another engine."""
        self.running -= 1
        self._gauge.dec()
        if code is not None:
            self._count(code)()

    def _count(self, code: str) -> Callable[[], None]:
        found = self._codes.get(code)
        if found is None:
            found = self._codes[code] = self._requests.labels(*self._labels, code).inc
        return found

    def broke(self) -> None:
        """The engine left in the middle of an answer."""
        self._broken.inc()


class Metrics:
    """Every series of one gateway process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.requests = Counter(
            "tunefleet_gateway_requests",
            "Requests sent to engines, by the answer's class.",
            (*_LABELS, "code"),
            registry=registry,
        )
        self.in_flight = Gauge(
            "tunefleet_gateway_requests_in_flight", "Requests at engines now.", _LABELS, registry=registry
        )
        self.broken_streams = Counter(
            "tunefleet_gateway_broken_streams",
            "Answers that an engine broke off after they had begun.",
            _LABELS,
            registry=registry,
        )
        self.first_token = Histogram(
            "tunefleet_gateway_time_to_first_token_seconds",
            "From a whole request to the first byte of a streamed answer's body.",
            _LABELS,
            buckets=_FIRST_TOKEN_BUCKETS,
            registry=registry,
        )
        self.refused = Counter(
            "tunefleet_gateway_refused_requests",
            "Requests that the gateway answered with an error of its own.",
            ("reason",),
            registry=registry,
        )
        self.retries = Counter(
            "tunefleet_gateway_retries",
            "Requests that went to a second engine as the first took no connection.",
            registry=registry,
        )
        self.held = Gauge(
            "tunefleet_gateway_held_requests",
            "Requests that wait now for an engine that can answer.",
            registry=registry,
        )
        self.held_seconds = Histogram(
            "tunefleet_gateway_held_seconds",
            "How long requests waited for an engine that can answer.",
            buckets=_HELD_BUCKETS,
            registry=registry,
        )
        self.held_outcomes = Counter(
            "tunefleet_gateway_held",
            "Requests that wait no more: sent, expired, left by their client, or refused as there was no room.",
            ("outcome",),
            registry=registry,
        )
        self.connections = Gauge("tunefleet_gateway_client_connections", "Client connections now.", registry=registry)
        self.models = Gauge("tunefleet_gateway_models", "Served names that some engine can answer.", registry=registry)
        self.table_seconds = Gauge(
            "tunefleet_gateway_table_build_seconds", "Seconds the last route table took.", registry=registry
        )
        self.table_builds = Counter("tunefleet_gateway_table_builds", "Route tables built.", registry=registry)
        self._versions: dict[tuple[str, str], VersionMetrics] = {}

    def version(self, engine_name: str) -> VersionMetrics:
        """The series of one version."""
        labels = labels_of(engine_name)
        found = self._versions.get(labels)
        if found is None:
            found = self._versions[labels] = VersionMetrics(self, labels)
        return found

    def versions(self) -> Iterable[tuple[str, VersionMetrics]]:
        """Every version that has series, with its served name."""
        return ((model, found) for (model, _), found in self._versions.items())

    def keep(self, names: Container[str]) -> None:
        """Drop the series of versions of which NAME@vN is not among these, and that have nothing running."""
        for labels in [key for key, v in self._versions.items() if "@".join(key) not in names and not v.running]:
            del self._versions[labels]
            self._drop(labels)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def _drop(self, labels: tuple[str, str]) -> None:
        for family in (self.in_flight, self.broken_streams, self.first_token):
            family.remove(*labels)
        self.requests.remove_by_labels({"model": labels[0], "version": labels[1]})
