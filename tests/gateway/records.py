"""Records of requests, and what a scrape says."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tunefleet.gateway.metrics import Metrics
from tunefleet.gateway.record import Record
from tunefleet.gateway.telemetry import Telemetry

CHAT = "/v1/chat/completions"
V1, V2 = "support@v1-00000000", "support@v2-11111111"


def make_record(**values: Any) -> Record:
    """A streamed request of ten seconds, as it is when it is over."""
    record = Record(b"request-1", "POST", values.pop("path", CHAT), 100.0)
    defaults = {"sent": 101.0, "first_byte": 103.0, "ended": 110.0, "status": 200, "outcome": "2xx", "streamed": True}
    for name, value in {**defaults, **values}.items():
        setattr(record, name, value)
    return record


def run(telemetry: Telemetry, engine_name: str = V1, **values: Any) -> Record:
    """A request at an engine, from beginning to end."""
    record = make_record(engine_name=engine_name, series=telemetry.series(engine_name), **values)
    telemetry.begun(record)
    telemetry.ended(record)
    return record


def scraped(metrics: Metrics) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Samples by name and labels; a sample that is there twice fails."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in values, (sample.name, labels)
            values[labels] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample; None when there is none."""
    return scraped(metrics).get(name, {}).get(frozenset(labels.items()))
