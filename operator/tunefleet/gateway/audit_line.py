"""The audit line's fields. Not compiled: msgspec reads the annotations.

Of what a client may write freely only its x-request-id and the trace id are among them: no prompt, no answer, no key,
no model or path that does not exist.
"""

import msgspec


class AuditLine(msgspec.Struct, omit_defaults=True):
    """One request: that went to an engine, or that was refused. Fields without a value are left out."""

    time: str
    """When it was over, RFC 3339 in UTC."""
    request_id: str
    """The header x-request-id of its answer."""
    method: str
    """POST, but for requests that were refused."""
    path: str
    """Without a query; `other` for paths that do not exist."""
    status: int
    """Of the answer; 0 when the client left before there was one."""
    seconds: float
    """From the whole request to the end of its answer."""
    outcome: str = ""
    """What came of it at the engine: 2xx to 5xx, broken (the engine broke off an answer that had begun), disconnected
    (the client left)."""
    refusal: str = ""
    """`code` of the gateway's own error."""
    tenant: str = ""
    """Whose key it came with."""
    model: str = ""
    """As the client wrote it, when it exists and the tenant may see it."""
    version: str = ""
    """That answered, or was asked last: the header x-tunefleet-model."""
    base: str = ""
    """The base that it ran on."""
    pod: str = ""
    """NAMESPACE/NAME; the host of an external upstream."""
    endpoint: str = ""
    """Name of the InferenceEndpoint."""
    region: str = ""
    """Of the pod."""
    fallback: str = ""
    """`endpoint/NAME` or `external/NAME` when something else than the model's own endpoint answered."""
    streamed: bool = False
    """The answer was an event stream."""
    events: int = 0
    """Events with data in a stream."""
    prompt_tokens: int = -1
    """As the answer's `usage` says."""
    completion_tokens: int = -1
    """The same."""
    request_bytes: int = 0
    """Of the body."""
    retries: int = 0
    """Further attempts at engines."""
    held_seconds: float | None = None
    """That it waited for an engine."""
    first_byte_seconds: float | None = None
    """From sending it to the engine to the first byte of the answer's body."""
    trace_id: str = ""
    """Of the client's traceparent."""


ENCODER = msgspec.json.Encoder()
