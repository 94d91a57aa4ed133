"""What a request leaves behind: counts, a trial's sample, its tenant's account, an audit line, a span."""

from collections.abc import Container, Iterable
from typing import final

from tunefleet.plan.route_table import split_engine_name

from .record import BROKEN, DISCONNECTED, Record
from .series import Counters, Latency, Series, count


@final
class Telemetry:
    """One of a process."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._series: dict[str, Series] = {}

    def series(self, engine_name: str) -> Series:
        """Of a version; hold on to it until the next table."""
        parts = split_engine_name(engine_name)
        label = f"{parts[0]}@v{parts[1]}" if parts else engine_name
        found = self._series.get(label)
        if found is None:
            found = Series(parts[0], f"v{parts[1]}") if parts else Series(engine_name, "")
            self._series[label] = found
        return found

    def versions(self) -> Iterable[Series]:
        """Every version that has counts."""
        return self._series.values()

    def keep(self, names: Container[str]) -> None:
        """Drop the counts of versions of which NAME@vN is not among these and that have nothing running."""
        for name in [name for name, series in self._series.items() if name not in names and not series.running]:
            del self._series[name]

    def begun(self, record: Record) -> None:
        """The request goes to an engine, of `record.series`; again when it goes to another."""
        self.left(record)
        series = record.series
        if series is not None:
            series.running += 1
            series.begun += 1
            record.running = series

    def left(self, record: Record) -> None:
        """The request is at no engine any more and not over: it waits, or another engine gets it."""
        series = record.running
        if series is not None:
            series.running -= 1
            record.running = None

    def ended(self, record: Record) -> None:
        """The request is over; once for each request."""
        self.left(record)
        if record.refusal:
            count(self.counters.refused, record.refusal)
        series = record.series
        if series is not None and record.outcome:
            self._count(series, record)
        tenant = record.tenant
        if tenant is not None:
            tenant.end(record)

    def _count(self, series: Series, record: Record) -> None:
        count(series.requests, record.outcome)
        latency = series.latency.get(record.path)
        if latency is None:
            latency = series.latency[record.path] = Latency()
        if record.streamed and record.first_byte and record.status == 200:
            latency.first_token.observe(record.first_byte - record.sent)
        step = record.step
        if step is not None and (record.outcome != DISCONNECTED or record.first_byte):
            failed = record.streamed_error or record.outcome == "5xx" or record.outcome == BROKEN
            step.ended(record.engine_name, failed=failed)
