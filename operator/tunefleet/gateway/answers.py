"""Responses that the gateway writes itself, as bytes."""

import json
from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from tunefleet.plan.route_table import ServedModel

from .errors import Refusal

JSON = "application/json"
OWNER = "tunefleet"


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def render(answer: Answer, request_id: bytes, *, close: bool, without_body: bool = False) -> bytes:
    """The response's bytes; `without_body` for HEAD."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"content-type: {answer.content_type}",
        f"content-length: {len(answer.body)}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    head = "\r\n".join(lines).encode() + b"\r\nx-request-id: " + request_id + b"\r\n"
    return head + (b"connection: close\r\n" if close else b"") + b"\r\n" + (b"" if without_body else answer.body)


def of_refusal(refusal: Refusal) -> Answer:
    """An error in OpenAI's shape."""
    headers = list(refusal.headers)
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    if refusal.allow is not None:
        headers.append(("allow", refusal.allow))
    return Answer(refusal.status, refusal.body(), headers=tuple(headers))


def event_of(refusal: Refusal) -> bytes:
    """An error as an event of a stream. OpenAI's clients look at the data, Anthropic's at the event's name."""
    return b"event: error\ndata: " + refusal.body() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def model_list(models: Iterable[ServedModel]) -> Answer:
    """GET /v1/models."""
    return Answer(200, json.dumps({"object": "list", "data": [_model(model) for model in models]}).encode())


def one_model(model: ServedModel) -> Answer:
    """GET /v1/models/{id}."""
    return Answer(200, json.dumps(_model(model)).encode())


def _model(model: ServedModel) -> dict[str, object]:
    """OpenAI's fields, vLLM's `parent`, and the exact versions that answer."""
    return {
        "id": model.name,
        "object": "model",
        "created": _seconds(model.created),
        "owned_by": OWNER,
        "parent": model.parent,
        "versions": list(model.engine_names),
    }


def _seconds(created: str) -> int:
    return int(datetime.fromisoformat(created).timestamp()) if created else 0
