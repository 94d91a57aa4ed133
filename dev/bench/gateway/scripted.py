"""Engines that fail as a case says, and remember what reached them."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1795262400,
    "model": "adapter-0000",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}
EVENT = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1795262400,
    "model": "adapter-0000",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "word "}, "finish_reason": None}],
}
EVENT_SECONDS = 0.05
KEPT_ALIVE = b"content-type: application/json\r\n"


@dataclass
class Call:
    """One request at an engine."""

    body: bytes
    engine: "Engine"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, body: bytes, status: str = "200 OK", lines: bytes = b"") -> None:
        """A whole answer."""
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n".encode()
        await self._send(head + KEPT_ALIVE + lines + b"\r\n" + body)

    async def begin_stream(self) -> None:
        """The head of a stream."""
        lines = b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
        await self._send(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")

    async def event(self) -> None:
        """One event, as a chunk."""
        data = f"data: {json.dumps(EVENT)}\n\n".encode()
        await self._send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        """End the connection without a word."""
        self.writer.transport.abort()

    async def _send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[Call], Awaitable[None]]


@dataclass
class Engine:
    """One engine; `script` answers what is posted."""

    address: str
    script: Script
    received: list[bytes] = field(default_factory=list)
    """Bodies of what was posted."""
    left: "asyncio.Future[float]" = field(default_factory=asyncio.Future)
    """When the client of a stream went away, seconds of the monotonic clock."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen. Raises OSError when the address is taken."""
        self._server = await asyncio.start_server(self._serve, self.address, port)

    async def kill(self) -> None:
        """As when its process is killed: nobody listens, and what is open breaks."""
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._answer(Call(body, self, reader, writer), head)
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, call: Call, head: bytes) -> None:
        if head.startswith(b"POST"):
            self.received.append(call.body)
            await self.script(call)
        else:  # a health check
            await call.answer(b'{"object": "list", "data": []}')


async def complete(call: Call) -> None:
    """As an engine that works."""
    await call.answer(json.dumps(COMPLETION).encode())


async def stream_until_left(call: Call) -> None:
    """Events without an end; notes when nobody takes them any more."""
    await call.begin_stream()
    gone = asyncio.ensure_future(call.reader.read(1))
    while not gone.done():
        with contextlib.suppress(ConnectionError):
            await call.event()
        await asyncio.wait([gone], timeout=EVENT_SECONDS)
    if not call.engine.left.done():
        call.engine.left.set_result(time.monotonic())
    await asyncio.gather(gone, return_exceptions=True)
    call.reset()


async def die_in_stream(call: Call) -> None:
    """Three events, and the connection ends."""
    await call.begin_stream()
    for _ in range(3):
        await call.event()
        await asyncio.sleep(EVENT_SECONDS)
    call.reset()


async def reset(call: Call) -> None:
    """The connection ends before an answer."""
    call.reset()


async def overloaded(call: Call) -> None:
    """503 with Retry-After."""
    body = {"error": {"message": "busy", "type": "ServiceUnavailableError", "code": 503}}
    await call.answer(json.dumps(body).encode(), "503 Service Unavailable", b"retry-after: 7\r\n")


@asynccontextmanager
async def engines(addresses: Sequence[str], port: int, scripts: Sequence[Script]) -> AsyncIterator[list[Engine]]:
    """One for each script, until the block ends."""
    made = [Engine(address, script) for address, script in zip(addresses, scripts, strict=True)]
    async with AsyncExitStack() as stack:
        for one in made:
            await one.start(port)
            stack.push_async_callback(one.kill)
        yield made
