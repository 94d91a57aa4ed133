"""What an answer says of the pod that gave it, and what of a request goes into its record. No I/O."""

from typing import Final
from zlib import crc32

from .breaker import Breaker
from .pods import Pod
from .record import BROKEN, DISCONNECTED, Record
from .response_head import ResponseHead
from .response_reader import ResponseReader

_BUSY: Final = 503
_OF_THE_POD: Final = (500, 502, 503, 504)
"""Others tell of the request, such as 501 of what the engine does not know."""


def judge(pod: Pod, head: ResponseHead, body: bytes, now: float) -> bool:
    """Tell the pod's health of an answer to this request. True when requests that wait for the pod may go now."""
    if head.status < 500:
        return pod.health.answered()
    if head.status == _BUSY and head.retry_after >= 0:
        pod.health.busy(now, head.retry_after)
    elif head.status in _OF_THE_POD:
        pod.health.failed(now, crc32(body))
    return False


def conclude(record: Record, pod: Pod | None, reader: ResponseReader, outcome: str, now: float) -> None:
    """Fill in what is known at the end."""
    record.outcome = outcome
    record.ended = now
    record.events = reader.events
    record.tail = reader.tail()
    if pod is None:
        return
    record.pod = pod.label
    backend = pod.backend
    if backend is not None:
        record.base_engine_name = backend.base_engine_name
        record.endpoint = backend.endpoint
        record.region = backend.region
    breaker = pod.breaker
    if breaker is not None and outcome:
        tell(breaker, record, now)


def tell(breaker: Breaker, record: Record, now: float) -> None:
    """What became of the request. Clients who leave, and what they did wrong, say nothing of engines."""
    if record.outcome == DISCONNECTED:
        breaker.left()
    else:
        breaker.note(record.outcome != BROKEN and record.outcome != "5xx", now, record.engine_name)
