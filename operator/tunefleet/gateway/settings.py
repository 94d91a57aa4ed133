"""What an operator of the gateway may set; every value has a flag and an environment variable in main.py."""

from dataclasses import dataclass, field

from .hold import HoldLimits
from .request_reader import Limits

AUDIT_OFF = "off"


@dataclass(frozen=True)
class Timeouts:
    """Seconds; each is looked at once a second, so none is exact."""

    head: float = 10.0
    """From the first byte of a request to the end of its head."""
    body: float = 30.0
    """Between two arrivals of a request's body."""
    request: float = 300.0
    """From the first byte of a request to its last."""
    idle: float = 75.0
    """Between two requests of one client connection; nginx's default."""
    reader: float = 120.0
    """A client that takes nothing of what waits for it."""
    engine: float = 600.0
    """An engine that says nothing: before its first byte (queueing, prefill) or between two."""
    connect: float = 2.0
    """Until an engine accepts a connection."""


@dataclass(frozen=True)
class Settings:
    """How one gateway process behaves."""

    limits: Limits = field(default=Limits(head=32 * 1024, body=16 * 1024 * 1024))
    timeouts: Timeouts = field(default=Timeouts())
    hold: HoldLimits = field(default=HoldLimits())
    max_connections: int = 10_000
    """Client connections; one more is told to try again."""
    drain_seconds: float = 120.0
    """How long streams may go on after SIGTERM."""
    audit: str = "stdout"
    """Where a line for each request goes: `stdout`, a path, or AUDIT_OFF."""
    otel_endpoint: str = ""
    """OTLP receiver of spans, such as http://collector:4318; empty: none are made."""
