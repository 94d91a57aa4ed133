"""An address that can answer: one object as long as the address is known, whatever table it is in."""

import ssl
from hashlib import blake2b
from typing import TYPE_CHECKING, final

from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend

from .breaker import Breaker
from .health import Health

if TYPE_CHECKING:
    from .engines import EngineConnection


@final
class Pod:
    """One engine, or one upstream outside of the fleet."""

    def __init__(
        self,
        key: Key,
        host: str,
        port: int,
        health: Health,
        *,
        backend: Backend | None = None,
        authorization: bytes = b"",
        answer_lines: bytes = b"",
        prefix: bytes = b"",
        host_line: bytes = b"",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.key = key
        """Namespace and name; of an upstream outside "" and its host."""
        self.label = f"{key.namespace}/{key.name}" if key.namespace else key.name
        """For records."""
        self.host = host
        self.port = port
        self.health = health
        self.backend = backend
        """None for an upstream outside."""
        self.authorization = authorization
        """A whole header line, or nothing."""
        self.answer_lines = answer_lines
        """Header lines that say who answered."""
        self.prefix = prefix
        """Of the path."""
        self.host_line = host_line
        """Empty: the client's Host goes on."""
        self.tls = tls
        self.breaker: Breaker | None = None
        """Of its endpoint, when that has a fallback."""
        self.in_flight = 0
        """Requests of this process that it has now, of all versions."""
        self.idle: list[EngineConnection] = []
        """Connections that wait for another request; the last one used is the first one taken."""
        self.factor, self.shift = coefficients(key)

    def describe(self, now: float) -> dict[str, object]:
        """For people: what the choice goes by."""
        health = self.health
        out = {"why": health.why, "seconds": round(max(health.until - now, 0.0), 1)} if health.why else None
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "address": f"{self.host}:{self.port}",
            "inFlight": self.in_flight,
            "idleConnections": len(self.idle),
            "ejected": out,
        }


def engine_lines(backend: Backend) -> bytes:
    """The header lines that say which base answered, and where."""
    region = f"x-tunefleet-region: {backend.region}\r\n" if backend.region else ""
    return f"x-tunefleet-base: {backend.base_engine_name}\r\n{region}".encode()


def coefficients(key: Key) -> tuple[int, int]:
    """Two numbers below 2**29 that every gateway process computes alike, see `balancer.pick`."""
    digest = blake2b(f"{key.namespace}/{key.name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest[:4], "big") >> 3) | 1, int.from_bytes(digest[4:], "big") >> 3
