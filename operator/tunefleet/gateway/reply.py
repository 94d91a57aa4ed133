"""The client's side of an exchange: what the engine says, as the client gets it."""

from typing import final

from .balancer import Lane
from .client import Client
from .early_answer import EarlyAnswer
from .errors import Refusal
from .pods import Pod
from .record import Record
from .request_head import RequestHead
from .response_head import ResponseHead
from .response_reader import ResponseReader
from .splice import broken, to_client
from .state import GatewayState
from .trials import STREAMED_ERROR


@final
class Reply:
    """To one request."""

    def __init__(self, state: GatewayState, client: Client, head: RequestHead, record: Record) -> None:
        """`head`: the request's."""
        self._state = state
        self._client = client
        self._record = record
        self._modern = head.minor == 1
        """The client knows chunks and 1xx."""
        self._keep_alive = head.keep_alive
        self._early: EarlyAnswer | None = None
        self.reader = ResponseReader(state.response_heads, plain=not self._modern)

    def comfort(self) -> None:
        """Begin a stream of events without an engine, and say that something goes on."""
        if self._early is None:
            self._early = EarlyAnswer(chunked=self._modern)
            self.reader = ResponseReader(self._state.response_heads, plain=True)
            self._client.write(self._early.head(self._record.request_id, close=not self._keep_alive))
        self._client.write(self._early.comment())

    def pass_interim(self) -> None:
        """1xx heads belong to the client (RFC 9110 15.2), but HTTP/1.0 does not know them."""
        interim = self.reader.interim
        if interim:
            if self._modern and self._early is None:
                self._client.write(b"".join(interim))
            interim.clear()

    def begin(self, head: ResponseHead, body: bytes, lane: Lane, pod: Pod, now: float) -> None:
        """The head, and what came with it of the body."""
        record, early = self._record, self._early
        record.status = head.status
        record.streamed = head.event_stream
        if early is not None:
            early.begin(head)
            if body:
                self.go_on(body, now)
            return
        more = b""
        tenant = record.tenant
        if tenant is not None and tenant.limited:
            more = tenant.lines(now)
        self._keep_alive = self._keep_alive and not head.until_close and not self._state.draining
        if not self._keep_alive:
            more += b"connection: close\r\n"
        top = to_client(head, self.reader, lane, pod, record.request_id, more)
        if body:
            self._client.write(top + body)
            self._note(body, now)
        else:
            self._client.write(top)

    def go_on(self, body: bytes, now: float) -> None:
        """More of the body."""
        early = self._early
        self._client.write(body if early is None else early.pass_on(body))
        self._note(body, now)

    def _note(self, body: bytes, now: float) -> None:
        record = self._record
        if record.first_byte == 0.0:  # of the body: vLLM sends a stream's head before it has a token
            record.first_byte = now
        if record.step is not None and STREAMED_ERROR in body:
            record.streamed_error = True

    def end(self) -> None:
        """It is whole."""
        if self._early is not None:
            self._client.write(self._early.end())
        self._client.answered(keep_alive=self._keep_alive)

    def refuse(self, refusal: Refusal) -> None:
        """An error of ours instead; nothing of an engine's answer was passed on."""
        if self._early is None:
            self._client.refuse(refusal, keep_alive=self._keep_alive)
        else:
            self._client.write(self._early.refused(refusal))
            self._client.answered(keep_alive=self._keep_alive)

    def break_off(self, head: ResponseHead, model: str) -> None:
        """The engine broke off in the middle of it."""
        early = self._early
        last_words = broken(self.reader, head, model, framed=early is not None and early.chunked)
        delimited = not head.until_close and self._modern  # the client sees that it is not whole
        self._client.break_off(last_words, reset=not last_words and not delimited)
