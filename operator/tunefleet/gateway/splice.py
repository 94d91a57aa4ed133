"""The bytes that change on their way through: a request's head and model, a response's head, a broken end. No I/O."""

from typing import Final

from .answers import chunk, event_of
from .balancer import Lane
from .errors import stream_broken
from .model_field import ModelField
from .outside import incoming_lines, outgoing_start
from .pods import Pod
from .request_reader import Request
from .response_head import ResponseHead
from .response_reader import ResponseReader

LARGE: Final = 64 * 1024
"""Bytes of a body above which it is cheaper not to copy it."""


def to_engine(
    request: Request, model: ModelField, lane: Lane, pod: Pod, request_id: bytes
) -> tuple[list[bytes | memoryview], int]:
    """The request with another name for the model and other credentials, else as it came; and its length in bytes."""
    head, body, name = request.head, request.body, lane.name
    length = len(body) - (model.end - model.start) + len(name)
    if pod.backend is None:
        start = outgoing_start(head, pod)
    elif head.has_host:
        start = head.start
    else:
        start = head.start + b"host: %b\r\n" % pod.host.encode()
    top = b"%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (start, pod.authorization, request_id, length)
    if len(body) < LARGE:
        whole = b"".join([top, body[: model.start], name, body[model.end :]])
        return [whole], len(whole)
    view = memoryview(body)
    return [top, view[: model.start], name, view[model.end :]], len(top) + length


def to_client(
    head: ResponseHead, reader: ResponseReader, lane: Lane, pod: Pod, request_id: bytes, more: bytes
) -> bytes:
    """The response's head: the engine's, less hop-by-hop lines, ours, and `more` lines."""
    start = head.without_chunks() if reader.plain else head.start
    rest = head.rest
    if pod.backend is None:
        start, rest = incoming_lines(start), incoming_lines(rest)
    return b"".join(
        [
            start,
            reader.digits,
            rest,
            b"x-request-id: ",
            request_id,
            b"\r\n",
            lane.answer_lines,
            pod.answer_lines,
            more,
            b"\r\n",
        ]
    )


def broken(reader: ResponseReader, head: ResponseHead, model: str, *, framed: bool = False) -> bytes:
    """What a stream that broke off ends with: an error event, where one can stand between two of the engine's own.

    `framed`: what the reader passed on got chunks of ours.
    """
    if not head.event_stream or not reader.at_event_boundary:
        return b""
    event = event_of(stream_broken(model))
    return chunk(event) if framed or reader.framed else event
