"""The requests of the benchmark: about 1 KB, as the openai package writes them, of many tenants for many models."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .native import write_requests
from .objects import Tenant, served_name

SENT_IN_TURN = 200
"""Different requests, each of another model; tenants come round twice."""
EVENTS = 64
DELAY_MS = 10
SYSTEM = "You are a helpful assistant of our customer service. " * 8
QUESTION = "My order has not come yet, and the page says that it was delivered. What can I do now? " * 5


@dataclass(frozen=True)
class Files:
    """The files that hold them."""

    plain: Path
    fresh: Path
    """Like plain, with an x-request-id that the load makes another one each time."""
    unpaced: Path
    """Streams of EVENTS events, as fast as they go."""
    paced: Path
    """Streams of EVENTS events, DELAY_MS milliseconds apart."""


def write_all(folder: Path, models: int, tenants: Sequence[Tenant]) -> Files:
    """Write them."""
    paced = f"delay_ms={DELAY_MS} {QUESTION}"
    return Files(
        write_requests(folder / "plain", requests(models, tenants)),
        write_requests(folder / "fresh", requests(models, tenants, extra=b"x-request-id: 0000000000000000\r\n")),
        write_requests(folder / "unpaced", requests(models, tenants, stream=True)),
        write_requests(folder / "paced", requests(models, tenants, question=paced, stream=True)),
    )


def models_used(models: int) -> tuple[str, ...]:
    """Served names in the requests, spread over the table."""
    return tuple(served_name(n * models // SENT_IN_TURN) for n in range(min(SENT_IN_TURN, models)))


def requests(
    models: int, tenants: Sequence[Tenant], question: str = QUESTION, extra: bytes = b"", *, stream: bool = False
) -> Iterator[bytes]:
    """Each model in use once."""
    for number, name in enumerate(models_used(models)):
        asked = question + "Please! " * (number % 10)  # bodies of different lengths, as they are
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]
        body = {"model": name, "messages": messages, "max_tokens": EVENTS, "temperature": 0.7, "stream": stream}
        yield request(json.dumps(body).encode(), tenants[number % len(tenants)].key, extra)


def request(body: bytes, key: str, extra: bytes = b"") -> bytes:
    """One request; `extra` is whole header lines."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: models.example.com\r\nUser-Agent: OpenAI/Python 2.8.1\r\n"
        b"Accept: application/json\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\n%bContent-Length: %d\r\n\r\n%b" % (key.encode(), extra, len(body), body)
    )
