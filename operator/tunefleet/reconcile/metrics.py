"""Prometheus metrics of the operator process."""

from collections.abc import Callable, Hashable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics:
    """One registry a process; it also observes the work queue."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.is_leader = Gauge(
            "tunefleet_operator_is_leader", "1 while this process holds the Lease.", registry=self.registry
        )
        self.changes = Counter(
            "tunefleet_operator_changes_total",
            "Objects that appeared, changed in what is looked at, or went.",
            ["kind"],
            registry=self.registry,
        )
        self._writes = Counter(
            "tunefleet_operator_writes_total",
            "Writes sent to the API server, the Lease's not counted.",
            ["verb", "kind"],
            registry=self.registry,
        )
        self._reconciles = Counter(
            "tunefleet_operator_reconciles_total",
            "Decisions made and carried out.",
            ["kind", "result"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "tunefleet_operator_reconcile_seconds",
            "Time to decide and to carry it out.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._wait = Histogram(
            "tunefleet_operator_queue_wait_seconds",
            "Time from a key's event to the begin of work on it.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A value that is read when it is scraped."""
        Gauge(f"tunefleet_operator_{name}", help_text, registry=self.registry).set_function(read)

    def wrote(self, verb: str, kind: str) -> None:
        """A write is about to be sent."""
        self._writes.labels(verb, kind).inc()

    def waited(self, seconds: float) -> None:
        """A key waited so long for a worker."""
        self._wait.observe(seconds)

    def finished(self, key: Hashable, seconds: float, error: Exception | None) -> None:
        """A key was worked on for so long."""
        kind = str(getattr(key, "kind", key))
        self._reconciles.labels(kind, type(error).__name__ if error else "ok").inc()
        self._duration.labels(kind).observe(seconds)
