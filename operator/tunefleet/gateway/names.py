"""Every name that monitoring sees: metrics, labels, span attributes, header lines.

GenAI names follow OpenTelemetry's semantic conventions for generative AI (open-telemetry/semantic-conventions-genai,
status Development, as of 2026-11, on top of the general conventions 1.42). A gateway is a server, so it takes the names
of `gen_ai.server.*`. The conventions' token metrics are the client's and change from a histogram to counters, so tokens
are counted under a name of ours. In Prometheus' text dots become underscores and units are appended.
"""

from dataclasses import dataclass
from typing import Final, Literal

GENAI_CONVENTIONS: Final = "https://github.com/open-telemetry/semantic-conventions-genai, Development, 2026-11"

PROVIDER: Final = "tunefleet"
"""gen_ai.provider.name; the conventions allow names of one's own."""
OPERATIONS: Final[dict[str, str]] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/embeddings": "embeddings",
}
"""gen_ai.operation.name of the paths that spend tokens; of others it is the path's last word."""

# Header lines of answers.
REQUEST_ID: Final = "x-request-id"
MODEL: Final = "x-tunefleet-model"
BASE: Final = "x-tunefleet-base"
REGION: Final = "x-tunefleet-region"
FALLBACK: Final = "x-tunefleet-fallback"

HEADERS: Final[dict[str, str]] = {
    REQUEST_ID: "on every answer: the client's own, when it is one word of at most 128 characters, else a new one",
    MODEL: "the exact version that answered, `support-de@v4-1f3a9c2e`; of a fallback, what really answered",
    BASE: "the base's exact version; not of external upstreams",
    REGION: "of the pod's node, or of the external upstream, when it is known",
    FALLBACK: "`endpoint/NAME` or `external/NAME`, only when another than the model's own endpoint answered",
}
"""What each says."""

# Span attributes.
SPAN_OPERATION: Final = "gen_ai.operation.name"
SPAN_PROVIDER: Final = "gen_ai.provider.name"
SPAN_REQUEST_MODEL: Final = "gen_ai.request.model"
SPAN_RESPONSE_MODEL: Final = "gen_ai.response.model"
SPAN_STREAM: Final = "gen_ai.request.stream"
SPAN_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
SPAN_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
SPAN_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
SPAN_ERROR: Final = "error.type"
SPAN_METHOD: Final = "http.request.method"
SPAN_PATH: Final = "url.path"
SPAN_STATUS: Final = "http.response.status_code"
SPAN_REQUEST_ID: Final = "tunefleet.request_id"
SPAN_TENANT: Final = "tunefleet.tenant"
SPAN_BASE: Final = "tunefleet.base"
SPAN_POD: Final = "tunefleet.pod"
SPAN_ENDPOINT: Final = "tunefleet.endpoint"
SPAN_REGION: Final = "tunefleet.region"
SPAN_FALLBACK: Final = "tunefleet.fallback"
SPAN_HELD: Final = "tunefleet.held_seconds"
SPAN_RETRIES: Final = "tunefleet.retries"
SPAN_FIRST_BYTE: Final = "tunefleet.first_byte"
"""An event: the first byte of a stream."""

SPAN_ATTRIBUTES: Final[dict[str, str]] = {
    SPAN_OPERATION: "`chat`, `text_completion`, `embeddings`, or the path's last word",
    SPAN_PROVIDER: f"`{PROVIDER}`",
    SPAN_REQUEST_MODEL: "as the client wrote it",
    SPAN_RESPONSE_MODEL: "the exact version",
    SPAN_STREAM: "the answer was an event stream",
    SPAN_FIRST_CHUNK: "seconds from the whole request to the first byte of the answer's body, waits included",
    SPAN_INPUT_TOKENS: "as the answer's `usage` says",
    SPAN_OUTPUT_TOKENS: "the same",
    SPAN_ERROR: "the code of the gateway's own error, else `4xx`, `5xx`, `broken` or `disconnected`",
    SPAN_METHOD: "`POST`",
    SPAN_PATH: "without a query",
    SPAN_STATUS: "of the answer",
    SPAN_REQUEST_ID: f"the header `{REQUEST_ID}`",
    SPAN_TENANT: "whose key it came with",
    SPAN_BASE: "the base that the version ran on",
    SPAN_POD: "`NAMESPACE/NAME`, or the host of an external upstream",
    SPAN_ENDPOINT: "name of the InferenceEndpoint",
    SPAN_REGION: "of the pod",
    SPAN_FALLBACK: "`endpoint/NAME` or `external/NAME`",
    SPAN_HELD: "seconds that it waited for an engine",
    SPAN_RETRIES: "further attempts at engines",
}
"""What each says."""


@dataclass(frozen=True)
class Family:
    """One metric."""

    name: str
    """As Prometheus knows it: counters end in `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


_VERSION = ("model", "version")
_GENAI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")
ERROR_LABEL: Final = "error_type"

REQUESTS: Final = Family(
    "tunefleet_gateway_requests_total",
    "counter",
    "Requests that ended at an engine: `2xx` to `5xx` by its answer, `broken` when it broke off an answer that had "
    "begun, `disconnected` when the client left.",
    (*_VERSION, "code"),
)
IN_FLIGHT: Final = Family("tunefleet_gateway_requests_in_flight", "gauge", "Requests at engines now.", _VERSION)
TOKENS: Final = Family(
    "tunefleet_gateway_tokens_total",
    "counter",
    "Tokens of prompts (`input`) and completions (`output`), as the answers' `usage` says.",
    (*_VERSION, "type"),
)
WITHOUT_USAGE: Final = Family(
    "tunefleet_gateway_answers_without_usage_total",
    "counter",
    "Answers with status 200 that did not say how many tokens they took: streams need `stream_options.include_usage`.",
    _VERSION,
)
RETRIES: Final = Family(
    "tunefleet_gateway_retries_total",
    "counter",
    "Further attempts of requests whose engine had not got them.",
    _VERSION,
)
DURATION: Final = Family(
    "gen_ai_server_request_duration_seconds",
    "histogram",
    "From a whole request to the end of its answer, waits included. `error_type` is the class of the outcome.",
    (*_GENAI, ERROR_LABEL),
)
FIRST_TOKEN: Final = Family(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    "Of streams: from sending the request to the engine to the first byte of the answer's body.",
    _GENAI,
)
PER_TOKEN: Final = Family(
    "gen_ai_server_time_per_output_token_seconds",
    "histogram",
    "Of streams: time from the first byte to the last by output tokens after the first; by events where `usage` is "
    "missing.",
    _GENAI,
)
TENANT_REQUESTS: Final = Family(
    "tunefleet_gateway_tenant_requests_total", "counter", "Requests by the tenant of their key.", ("tenant",)
)
TENANT_TOKENS: Final = Family(
    "tunefleet_gateway_tenant_tokens_total", "counter", "Tokens by the tenant of the key.", ("tenant", "type")
)
REFUSED: Final = Family(
    "tunefleet_gateway_refused_requests_total",
    "counter",
    "Requests that the gateway answered with an error of its own, by the error's `code`.",
    ("reason",),
)
EJECTIONS: Final = Family(
    "tunefleet_gateway_ejections_total",
    "counter",
    "Times that a pod was left out: it took no connection (`refused`), gave bad answers (`failed`), or asked for a "
    "pause (`busy`).",
    ("reason",),
)
FALLBACKS: Final = Family(
    "tunefleet_gateway_fallbacks_total",
    "counter",
    "Requests that went to a fallback: `endpoint/NAME` or `external/NAME`.",
    ("fallback",),
)
BREAKERS_OPEN: Final = Family(
    "tunefleet_gateway_breaker_open",
    "gauge",
    "1 while an endpoint's breaker is open and requests go to its fallback.",
    ("namespace", "endpoint"),
)
HELD: Final = Family("tunefleet_gateway_held_requests", "gauge", "Requests that wait now for an engine.")
HELD_TOTAL: Final = Family(
    "tunefleet_gateway_held_total",
    "counter",
    "Requests that wait no more: `sent`, `expired`, `left` by their client; or that found no room (`refused`).",
    ("outcome",),
)
HELD_SECONDS: Final = Family("tunefleet_gateway_held_seconds", "histogram", "How long requests waited for an engine.")
CONNECTIONS: Final = Family("tunefleet_gateway_client_connections", "gauge", "Client connections now.")
MODELS: Final = Family("tunefleet_gateway_models", "gauge", "Served names that some engine can answer.")
ROUTES: Final = Family("tunefleet_gateway_routes", "gauge", "Names in the route table: served, @vN and exact ones.")
TABLE_BUILDS: Final = Family("tunefleet_gateway_table_builds_total", "counter", "Route tables built.")
TABLE_SECONDS: Final = Family(
    "tunefleet_gateway_table_build_seconds", "gauge", "Seconds that the last route table took."
)
KEYS: Final = Family("tunefleet_gateway_keys", "gauge", "API keys that are valid now.")
KEYS_BAD: Final = Family(
    "tunefleet_gateway_bad_key_secrets", "gauge", "Secrets with keys that cannot be read; the log says why."
)
CERTIFICATE: Final = Family(
    "tunefleet_gateway_certificate_expiry_timestamp_seconds", "gauge", "When the TLS certificate in use ends."
)
AUDIT_DROPPED: Final = Family(
    "tunefleet_gateway_audit_dropped_total", "counter", "Audit lines that were lost: the writer was behind, or failed."
)

FAMILIES: Final[tuple[Family, ...]] = (
    REQUESTS, IN_FLIGHT, TOKENS, WITHOUT_USAGE, RETRIES, DURATION, FIRST_TOKEN, PER_TOKEN, TENANT_REQUESTS,
    TENANT_TOKENS, REFUSED, EJECTIONS, FALLBACKS, BREAKERS_OPEN, HELD, HELD_TOTAL, HELD_SECONDS, CONNECTIONS, MODELS,
    ROUTES, TABLE_BUILDS, TABLE_SECONDS, KEYS, KEYS_BAD, CERTIFICATE, AUDIT_DROPPED,
)  # fmt: skip
"""All of a process, in the order of /metrics."""

WORKER_STARTS: Final = Family(
    "tunefleet_gateway_worker_starts_total", "counter", "Times that a worker was started.", ("worker",)
)
"""Only with several workers."""


def operation_of(path: str) -> str:
    """gen_ai.operation.name of a path that engines answer."""
    return OPERATIONS.get(path) or path.rpartition("/")[2]
