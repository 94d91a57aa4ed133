"""The audit trail: one line a request. The line is made when the request is over; a thread writes."""

import re
import time
from typing import Final, final

from .audit_line import ENCODER, AuditLine
from .audit_writer import AuditWriter
from .names import OPERATIONS
from .record import Record
from .series import Counters

BATCH: Final = 256
"""Lines that are handed to the thread at once, if it is not time anyway."""
QUEUED: Final = 32768
"""Lines, about 12 MiB, that wait for the thread; further ones are dropped and counted."""

_PATHS: Final = frozenset(
    {*OPERATIONS, "/v1/models", "/v1/messages/count_tokens", "/tokenize", "/detokenize", "/healthz"}
)
_TRACE: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_MILLISECONDS: Final = tuple(f".{n:03d}Z" for n in range(1000))


@final
class Audit:
    """Lines on their way."""

    def __init__(self, writer: AuditWriter, counters: Counters, now: float) -> None:
        """`now`: the clock that records' times are of."""
        self._writer = writer
        self._counters = counters
        self._lines: list[bytes] = []
        self._wall = time.time() - now
        """What makes wall time of a record's times."""
        self._second = -1
        self._stamp = ""

    def write(self, record: Record) -> None:
        """One line."""
        lines = self._lines
        if len(lines) >= BATCH:
            self._hand_over()
            lines = self._lines
        lines.append(ENCODER.encode(self._line(record)))

    def sweep(self, now: float) -> None:
        """About once a second: hand over what is there."""
        self._wall = time.time() - now
        self._hand_over()
        self._counters.audit_dropped += self._writer.take_failed()

    def reopen(self) -> None:
        """The file may have been moved: go on in a new one."""
        self._hand_over()
        self._writer.reopen()

    def close(self) -> None:
        """Write what is there, for some seconds at most."""
        self._hand_over()
        self._counters.audit_dropped += self._writer.close()

    def _hand_over(self) -> None:
        lines = self._lines
        if not lines:
            return
        self._lines = []
        if self._writer.queued + len(lines) > QUEUED:
            self._counters.audit_dropped += len(lines)
        else:
            self._writer.write(lines)

    def _line(self, record: Record) -> AuditLine:
        first_byte = record.first_byte - record.sent
        return AuditLine(
            self._time(record.ended),
            record.request_id.decode("latin-1"),
            record.method,
            record.path if record.series is not None else shown_path(record.path),
            record.status,
            seconds(record.ended - record.started),
            record.outcome,
            record.refusal,
            record.tenant.name if record.tenant is not None else "",
            record.served_name,
            record.engine_name,
            record.base_engine_name,
            record.pod,
            record.endpoint,
            record.region,
            record.fallback,
            record.streamed,
            record.events,
            record.prompt_tokens,
            record.completion_tokens,
            record.body_bytes,
            record.retries,
            seconds(record.held) if record.held > 0.0 else None,
            seconds(first_byte) if record.first_byte > 0.0 else None,
            trace_id(record.traceparent) if record.traceparent else "",
        )

    def _time(self, moment: float) -> str:
        wall = moment + self._wall
        second = int(wall)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._stamp + _MILLISECONDS[int((wall - second) * 1000.0)]


def seconds(exact: float) -> float:
    """To the microsecond."""
    return int(exact * 1e6 + 0.5) / 1e6


def shown_path(path: str) -> str:
    """A path that exists; whatever else a client may have written is not repeated."""
    if path in _PATHS:
        return path
    return "/v1/models/{id}" if path.startswith("/v1/models/") else "other"


def trace_id(traceparent: bytes) -> str:
    """Of a W3C trace context; empty when it is malformed."""
    match = _TRACE.fullmatch(traceparent)
    return match[1].decode("ascii") if match is not None else ""
