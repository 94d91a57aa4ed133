"""What a request leaves behind: counts, a trial's sample, its tenant's account, an audit line, a span."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Final, final

from tunefleet.plan.route_table import split_engine_name

from .audit import Audit
from .names import OPERATIONS
from .record import BROKEN, DISCONNECTED, Record
from .series import DURATION_BOUNDS, Account, Counters, Histogram, Latency, Series, count
from .usage import tokens_of

if TYPE_CHECKING:
    from .tracing import Tracing

_FAILED: Final = ("5xx", BROKEN)


@final
class Telemetry:
    """One of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.counters = Counters()
        self.accounts: dict[str, Account] = {}
        """By tenant."""
        self.audit: Audit | None = None
        """Where audit lines go; None: nowhere."""
        self.tracing: Tracing | None = None
        """Where spans go; None: nowhere."""
        self._series: dict[str, Series] = {}
        self._names: Collection[str] | None = None

    def series(self, engine_name: str) -> Series:
        """Of a version; good until the next table."""
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

    def keep(self, names: Collection[str]) -> None:
        """From now on only versions of which NAME@vN is among these; others go with their last request.

        What has no versions, an external upstream's model, stays.
        """
        self._names = names
        self._drop()

    def keep_tenants(self, names: Collection[str]) -> None:
        """Forget what other tenants used."""
        for name in [name for name in self.accounts if name not in names]:
            del self.accounts[name]

    def sweep(self) -> None:
        """About once a second."""
        self._drop()
        audit = self.audit
        if audit is not None:
            audit.sweep(self.clock())
        tracing = self.tracing
        if tracing is not None:
            tracing.sweep(self.clock())

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
        if record.ended == 0.0:
            record.ended = self.clock()
        if record.refusal:
            count(self.counters.refused, record.refusal)
        if record.fallback:
            count(self.counters.fallbacks, record.fallback)
        if record.status == 200 and record.tail:
            record.prompt_tokens, record.completion_tokens = tokens_of(record.tail, record.path, record.streamed)
        series = record.series
        if series is not None and record.outcome:
            observe(series, record)
            if record.step is not None:
                judge(record)
        tenant = record.tenant
        if tenant is not None:
            tenant.end(record)
            if record.admitted:
                self._charge(tenant.name, record)
        self._tell(record)

    def _charge(self, name: str, record: Record) -> None:
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account()
        account.requests += 1
        if record.prompt_tokens > 0:
            account.prompt_tokens += record.prompt_tokens
        if record.completion_tokens > 0:
            account.completion_tokens += record.completion_tokens

    def _tell(self, record: Record) -> None:
        audit = self.audit
        if audit is not None and (record.outcome or record.refusal):
            audit.write(record)
        tracing = self.tracing
        if tracing is not None and record.outcome:
            tracing.write(record)

    def _drop(self) -> None:
        names = self._names
        if names is None:
            return
        for label, series in list(self._series.items()):
            if series.version and not series.running and label not in names:
                del self._series[label]


def observe(series: Series, record: Record) -> None:
    """Add a request that was at an engine to its version's counts."""
    count(series.requests, record.outcome)
    series.retries += record.retries
    latency = series.latency.get(record.path)
    if latency is None:
        latency = series.latency[record.path] = Latency()
    if record.outcome == "2xx":
        latency.duration.observe(record.ended - record.started)
    else:
        _failed(latency, record.outcome).observe(record.ended - record.started)
    if record.status == 200:
        _count_tokens(series, record)
        if record.streamed and record.first_byte:
            _observe_stream(latency, record)


def judge(record: Record) -> None:
    """Add a request to the trial that its version was drawn for, unless its client left before the answer began."""
    step = record.step
    if step is None or (record.outcome == DISCONNECTED and not record.first_byte):
        return
    failed = record.streamed_error or record.outcome in _FAILED
    if record.streamed and record.status == 200 and record.first_byte and not record.streamed_error:
        step.sample(record.engine_name).answered_after(record.first_byte - record.sent)
    step.ended(record.engine_name, failed=failed)


def _failed(latency: Latency, outcome: str) -> Histogram:
    found = latency.failed.get(outcome)
    if found is None:
        found = latency.failed[outcome] = Histogram(DURATION_BOUNDS)
    return found


def _count_tokens(series: Series, record: Record) -> None:
    if record.prompt_tokens >= 0:
        series.prompt_tokens += record.prompt_tokens
    elif record.completion_tokens < 0 and record.path in OPERATIONS:
        series.without_usage += 1
    if record.completion_tokens >= 0:
        series.completion_tokens += record.completion_tokens


def _observe_stream(latency: Latency, record: Record) -> None:
    latency.first_token.observe(record.first_byte - record.sent)
    after_first = (record.completion_tokens if record.completion_tokens >= 0 else record.events) - 1
    if after_first > 0 and record.outcome == "2xx":
        latency.per_token.observe((record.ended - record.first_byte) / after_first)
