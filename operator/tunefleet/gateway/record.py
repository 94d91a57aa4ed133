"""What is known of one request: filled in while it runs, read once when it is over."""

from typing import TYPE_CHECKING, final

from .series import Series
from .trials import Step

if TYPE_CHECKING:
    from .access import Tenant

BROKEN = "broken"
"""The outcome of an answer that an engine broke off after it had begun."""
DISCONNECTED = "disconnected"
"""The outcome of a request whose client left before the end."""


@final
class Record:
    """One request. Times are seconds of the gateway's clock; 0.0: did not happen."""

    tenant: "Tenant | None" = None
    """Whose key it came with; None while that is not known."""
    admitted: bool = False
    """The tenant counts it: Tenant.begin did not refuse it."""
    served_name: str = ""
    """`model` as the client wrote it, once the tenant may see it; else empty: it can hold anything."""
    series: Series | None = None
    """Of the version that was chosen last."""
    step: Step | None = None
    """Of the canary that the version was drawn for."""
    engine_name: str = ""
    """The version that was chosen last; empty: none was."""
    base_engine_name: str = ""
    pod: str = ""
    """NAMESPACE/NAME, or the host of an external upstream."""
    endpoint: str = ""
    region: str = ""
    fallback: str = ""
    """`endpoint/NAME` or `external/NAME` when something else than the endpoint of the model answered."""
    sent: float = 0.0
    """When it went to the engine that answered."""
    first_byte: float = 0.0
    """Of the answer's body."""
    ended: float = 0.0
    status: int = 0
    """Of the answer; 0: none was sent."""
    outcome: str = ""
    """`2xx` to `5xx` as the engine answered, BROKEN, DISCONNECTED; empty for what the gateway answered itself."""
    refusal: str = ""
    """The code of the gateway's own error, if it answered one."""
    streamed: bool = False
    """The answer is an event stream."""
    streamed_error: bool = False
    """The event stream reported an error."""
    events: int = 0
    """Events with data in the stream, the last one included."""
    body_bytes: int = 0
    """Of the request."""
    prompt_tokens: int = -1
    """As the answer's usage has it; -1: unknown."""
    completion_tokens: int = -1
    retries: int = 0
    held: float = 0.0
    """Seconds in the queue for an engine, all waits together."""
    traceparent: bytes = b""
    """As the client sent it."""
    tail: bytes = b""
    """The last bytes of the answer's body as they passed, chunk framing included; 4096 at most."""
    running: Series | None = None
    """Where it counts as running. Telemetry's own."""

    def __init__(self, request_id: bytes, method: str, path: str, started: float) -> None:
        self.request_id = request_id
        self.method = method
        self.path = path
        self.started = started
