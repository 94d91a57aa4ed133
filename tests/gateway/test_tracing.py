"""Spans as a real OTLP receiver gets them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.gateway.records import V1, make_record
from tunefleet.gateway import names
from tunefleet.gateway.access import Tenant
from tunefleet.gateway.record import BROKEN, Record
from tunefleet.gateway.tracing import attributes_of, open_tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01".encode(), f"00-{TRACE}-{PARENT}-00".encode()


class Receiver:
    """Takes spans over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                receiver.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def sent(receiver: Receiver, *records: Record) -> list[Span]:
    tracing = open_tracing(receiver.url, 0.0)
    for record in records:
        tracing.write(record)
    tracing.close()
    return receiver.spans


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in span.attributes}


def test_a_span_has_what_the_conventions_ask_for(receiver: Receiver) -> None:
    record = make_record(
        traceparent=SAMPLED, served_name="support", engine_name=V1, tenant=Tenant("acme"), region="eu",
        pod="ns/engine-0",
        prompt_tokens=7, completion_tokens=5, held=0.5,
    )  # fmt: skip
    (span,) = sent(receiver, record)
    assert (span.name, span.kind) == ("chat support", Span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.end_time_unix_nano - span.start_time_unix_nano == pytest.approx(10e9, abs=1000)
    assert [event.name for event in span.events] == ["tunefleet.first_byte"]
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "tunefleet",
        "gen_ai.request.model": "support",
        "gen_ai.response.model": V1,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 3.0,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "tunefleet.request_id": "request-1",
        "tunefleet.tenant": "acme",
        "tunefleet.region": "eu",
        "tunefleet.pod": "ns/engine-0",
        "tunefleet.held_seconds": 0.5,
    }
    resource = receiver.requests[0].resource_spans[0].resource
    assert {"service.name", "service.version"} <= {a.key for a in resource.attributes}


def test_the_parent_decides_what_is_sampled(receiver: Receiver) -> None:
    sampled, without = make_record(traceparent=SAMPLED), make_record()
    spans = sent(receiver, make_record(traceparent=NOT_SAMPLED), sampled, without, make_record(traceparent=b"junk"))
    assert [span.parent_span_id.hex() for span in spans] == [PARENT, "", ""]


def test_the_sampler_is_the_sdks(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    spans = sent(receiver, make_record(), make_record(traceparent=SAMPLED))
    assert [span.parent_span_id.hex() for span in spans] == [PARENT]


@pytest.mark.parametrize(
    ("values", "error"),
    [({"outcome": BROKEN}, BROKEN), ({"outcome": "5xx", "refusal": "engine_failed", "status": 502}, "engine_failed")],
)
def test_failures_are_errors(receiver: Receiver, values: dict[str, Any], error: str) -> None:
    (span,) = sent(receiver, make_record(**values))
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == error


def test_the_reference_names_every_attribute() -> None:
    record = make_record(
        served_name="m", engine_name=V1, base_engine_name="b", pod="p", endpoint="e", region="r", fallback="f",
        held=1.0, retries=1, prompt_tokens=1, completion_tokens=1, tenant=Tenant("acme"), outcome=BROKEN,
    )  # fmt: skip
    assert attributes_of(record).keys() == names.SPAN_ATTRIBUTES.keys()


def test_neither_prompt_nor_answer_nor_key_is_in_a_span(receiver: Receiver) -> None:
    sent(receiver, make_record(tail=b"what the model said"))
    assert b"what the model said" not in receiver.requests[0].SerializeToString()
