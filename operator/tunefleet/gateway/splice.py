"""The bytes that change on their way through: a request's head and model, a response's head, a broken end. No I/O."""

from .answers import chunk, event_of
from .balancer import Choice
from .errors import stream_broken
from .model_field import ModelField
from .request_reader import Request
from .response_reader import ResponseHead, ResponseReader


def to_engine(
    request: Request, model: ModelField, choice: Choice, authorization: bytes, request_id: bytes
) -> list[bytes | memoryview]:
    """The request with another name for the model, our credentials, and every other byte as it came."""
    head, body = request
    name = b'"' + choice.target.engine_name.encode() + b'"'
    length = len(body) - (model.end - model.start) + len(name)
    host = b"" if head.has_host else b"host: %b\r\n" % choice.backend.ip.encode()
    top = b"POST %b HTTP/1.1\r\n%b%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (
        head.target,
        head.kept,
        host,
        authorization,
        request_id,
        length,
    )
    view = memoryview(body)
    return [top, view[: model.start], name, view[model.end :]]


def to_client(head: ResponseHead, choice: Choice, request_id: bytes, *, close: bool) -> bytes:
    """The response's head: the engine's, less hop-by-hop lines, and ours."""
    return b"%b%bx-request-id: %b\r\nx-tunefleet-model: %b\r\nx-tunefleet-base: %b\r\n%b\r\n" % (
        head.status_line,
        head.lines,
        request_id,
        choice.target.engine_name.encode(),
        choice.backend.base_engine_name.encode(),
        b"connection: close\r\n" if close else b"",
    )


def broken(reader: ResponseReader, head: ResponseHead, model: str) -> bytes:
    """What a stream that broke off ends with: an error event, where one can stand between two of the engine's own."""
    if not head.event_stream or not reader.at_event_boundary:
        return b""
    event = event_of(stream_broken(model))
    return chunk(event) if reader.framed else event
