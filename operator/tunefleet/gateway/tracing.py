"""Spans of requests, by OpenTelemetry's SDK (extra `otel`). A span is made when its request is over.

The client's trace context is the span's parent and decides whether it is sampled; requests without one follow the
SDK's sampler (OTEL_TRACES_SAMPLER; by default all of them). The header goes on to the engine as it came.
"""

import threading
import time
from importlib import metadata

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from . import names
from .record import Record

SERVICE = "tunefleet-gateway"
"""service.name, unless OTEL_SERVICE_NAME says another."""
TRACES_PATH = "/v1/traces"
CLOSE_SECONDS = 5.0
"""How long a process that ends waits for a receiver that does not answer."""


_CONTEXT = TraceContextTextMapPropagator()
_NOT_SAMPLED = b"-00"


class Tracing:
    """Makes spans and hands them to an exporter, which sends them in a thread of its own."""

    def __init__(self, exporter: SpanExporter, now: float) -> None:
        """`now`: the clock that records' times are of."""
        resource = Resource.create({"service.name": SERVICE, "service.version": metadata.version("tunefleet")})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tunefleet.gateway", metadata.version("tunefleet"))
        self._wall = 0.0
        self.sweep(now)

    def sweep(self, now: float) -> None:
        """About once a second: see what time it is."""
        self._wall = time.time() - now

    def write(self, record: Record) -> None:
        """The span of one request."""
        if record.traceparent.endswith(_NOT_SAMPLED):
            return
        operation = names.operation_of(record.path)
        span = self._tracer.start_span(
            f"{operation} {record.served_name}".rstrip(),
            context=_parent(record.traceparent),
            kind=SpanKind.SERVER,
            attributes=attributes_of(record),
            start_time=self._nanoseconds(record.started),
        )
        if not span.is_recording():
            return
        if record.streamed and record.first_byte:
            span.add_event(names.SPAN_FIRST_BYTE, timestamp=self._nanoseconds(record.first_byte))
        if error := error_of(record):
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(self._nanoseconds(record.ended))

    def close(self) -> None:
        """Send what is left, for CLOSE_SECONDS at most."""
        closing = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _nanoseconds(self, moment: float) -> int:
        return int((moment + self._wall) * 1e9)


def open_tracing(endpoint: str, now: float) -> Tracing:
    """Spans go to an OTLP receiver over HTTP, such as a collector's http://HOST:4318."""
    return Tracing(OTLPSpanExporter(endpoint.rstrip("/") + TRACES_PATH), now)


def error_of(record: Record) -> str:
    """error.type: the gateway's own code, else the outcome; empty when all went well."""
    return record.refusal or ("" if record.outcome == "2xx" else record.outcome)


def attributes_of(record: Record) -> dict[str, AttributeValue]:
    """What a span says; nothing of the prompt, the answer or the key."""
    found: dict[str, AttributeValue] = {
        names.SPAN_OPERATION: names.operation_of(record.path),
        names.SPAN_PROVIDER: names.PROVIDER,
        names.SPAN_METHOD: record.method,
        names.SPAN_PATH: record.path,
        names.SPAN_STREAM: record.streamed,
        names.SPAN_REQUEST_ID: record.request_id.decode("latin-1"),
        **_known(record),
    }
    if record.first_byte:
        found[names.SPAN_FIRST_CHUNK] = record.first_byte - record.started
    if record.prompt_tokens >= 0:
        found[names.SPAN_INPUT_TOKENS] = record.prompt_tokens
    if record.completion_tokens >= 0:
        found[names.SPAN_OUTPUT_TOKENS] = record.completion_tokens
    return found


def _known(record: Record) -> dict[str, AttributeValue]:
    """What may be empty, without what is."""
    return {
        name: value
        for name, value in (
            (names.SPAN_REQUEST_MODEL, record.served_name),
            (names.SPAN_RESPONSE_MODEL, record.engine_name),
            (names.SPAN_STATUS, record.status),
            (names.SPAN_ERROR, error_of(record)),
            (names.SPAN_TENANT, record.tenant.name if record.tenant is not None else ""),
            (names.SPAN_BASE, record.base_engine_name),
            (names.SPAN_POD, record.pod),
            (names.SPAN_ENDPOINT, record.endpoint),
            (names.SPAN_REGION, record.region),
            (names.SPAN_FALLBACK, record.fallback),
            (names.SPAN_HELD, record.held),
            (names.SPAN_RETRIES, record.retries),
        )
        if value
    }


def _parent(traceparent: bytes) -> Context:
    return _CONTEXT.extract({"traceparent": traceparent.decode("latin-1")} if traceparent else {}, Context())
