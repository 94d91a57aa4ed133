"""Other people's readings of the same bytes: llhttp (Node's parser, through httptools) and h11."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import h11
import httptools


@dataclass
class Message:
    """A request or a response, as far as it was read."""

    method: bytes = b""
    target: bytes = b""
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """Of the header lines of this name."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Reading:
    """What was made of a stream."""

    messages: list[Message]
    refused: bool = False
    ended: bool = False
    """By the reader's own will, after a message: it closes, or speaks another protocol from here on."""

    @property
    def whole(self) -> list[Message]:
        """Those that are complete."""
        return [message for message in self.messages if message.complete]


@dataclass
class Llhttp:
    """What llhttp calls back with."""

    messages: list[Message] = field(default_factory=list)
    parser: Any = None

    def on_message_begin(self) -> None:
        self.messages.append(Message())

    def on_url(self, url: bytes) -> None:
        self.messages[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.messages[-1].headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].complete = True


class LlhttpRequests(Llhttp):
    """Requests have methods."""

    def on_headers_complete(self) -> None:
        self.messages[-1].method = self.parser.get_method()


class LlhttpResponses(Llhttp):
    """Responses have a status."""

    def on_headers_complete(self) -> None:
        self.messages[-1].status = self.parser.get_status_code()


def llhttp_requests(data: Iterable[bytes]) -> Reading:
    """Requests, as llhttp reads them."""
    seen = LlhttpRequests()
    seen.parser = httptools.HttpRequestParser(seen)
    return _fed(seen, data)


def llhttp_responses(data: Iterable[bytes]) -> Reading:
    """Responses, as llhttp reads them; one that only the end of the connection delimits stays incomplete."""
    seen = LlhttpResponses()
    seen.parser = httptools.HttpResponseParser(seen)
    return _fed(seen, data)


def _fed(seen: Llhttp, data: Iterable[bytes]) -> Reading:
    reading = Reading(seen.messages)
    for piece in data:
        try:
            seen.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            reading.ended = True
            break
        except httptools.HttpParserError:
            reading.refused = True
            break
    return reading


def h11_requests(data: Iterable[bytes]) -> Reading:
    """Requests, as h11 reads them; each is answered with a 404 so that the next can come."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    reading = Reading([])
    for piece in data:
        connection.receive_data(piece)
        try:
            _events(connection, reading)
        except h11.RemoteProtocolError:
            reading.refused = True
        if reading.ended or reading.refused:
            break
    return reading


def _events(connection: h11.Connection, reading: Reading) -> None:
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA or event is h11.PAUSED:
            return
        _note(event, reading.messages)
        if isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                reading.ended = True
                return
            connection.start_next_cycle()


def h11_response(data: Sequence[bytes], *, closed: bool, method: str = "POST") -> Reading:
    """The response to one request, as h11 reads it, interim ones included; `closed`: the connection ends after it."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "h"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    reading = Reading([])
    try:
        for piece in [*data, *([b""] if closed else [])]:
            connection.receive_data(piece)
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                _note(event, reading.messages)
                if isinstance(event, h11.EndOfMessage):
                    reading.refused = bool(connection.trailing_data[0])
                    reading.ended = True
                if isinstance(event, h11.ConnectionClosed):
                    return reading
    except h11.RemoteProtocolError:
        reading.refused = True
    return reading


def _note(event: object, messages: list[Message]) -> None:
    match event:
        case h11.Request():
            messages.append(Message(event.method, event.target, headers=list(event.headers)))
        case h11.Response() | h11.InformationalResponse():
            final = isinstance(event, h11.Response)
            messages.append(Message(status=event.status_code, headers=list(event.headers), complete=not final))
        case h11.Data():
            messages[-1].body += bytes(event.data)
        case h11.EndOfMessage():
            messages[-1].complete = True
        case _:
            pass
