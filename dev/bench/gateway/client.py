"""A client that sees every byte of an answer, and whether it ended as HTTP says."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class BrokenOffError(Exception):
    """The connection ended within an answer, or before it."""


@dataclass
class Answer:
    """What came of one request."""

    status: int = 0
    """0: no answer came."""
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    whole: bool = False
    """It ended as its framing said."""
    seconds: float = 0.0

    @property
    def events(self) -> list[bytes]:
        """Data of its server-sent events."""
        return [line[6:] for line in self.body.splitlines() if line.startswith(b"data: ")]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._length: int | None = 0
        self._kept = True

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer; what broke off has `whole` False."""
        began, answer = time.monotonic(), Answer()
        try:
            answer.status, answer.headers = await self.begin(request)
            async for part in self.parts():
                answer.body += part
            answer.whole = True
        except BrokenOffError:
            pass
        answer.seconds = time.monotonic() - began
        return answer

    async def begin(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Send a request and read the head of its answer. Raises BrokenOffError."""
        try:
            self._writer.write(request)
            await self._writer.drain()
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise BrokenOffError from error
        status, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        chunked = headers.get("transfer-encoding") == "chunked"
        self._length = None if chunked else int(headers.get("content-length", "0"))
        self._kept = headers.get("connection", "").lower() != "close"
        return int(status.split(" ")[1]), headers

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes, without its chunks' framing. Raises BrokenOffError."""
        try:
            if self._length is not None:
                yield await self._reader.readexactly(self._length)
                return
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield (await self._reader.readexactly(size + 2))[:-2]
            while await self._reader.readuntil(b"\r\n") != b"\r\n":
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as error:
            raise BrokenOffError from error

    @property
    def usable(self) -> bool:
        """Another request may follow a whole answer."""
        return self._kept and not self._reader.at_eof()

    def leave(self) -> None:
        """Close now, whatever is on its way."""
        self._writer.transport.abort()


NARROW_BYTES = 4096
"""Receive buffer of a narrow connection: what a slow reader does not take has to wait at the sender."""


@asynccontextmanager
async def connected(port: int, *, narrow: bool = False) -> AsyncIterator[Client]:
    """A connection, closed at the end. Raises OSError."""
    link = socket.socket()
    link.setblocking(False)
    if narrow:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BYTES)
    try:
        await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", port))
    except BaseException:
        link.close()
        raise
    reader, writer = await asyncio.open_connection(sock=link, limit=NARROW_BYTES if narrow else 2**16)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        client.leave()


async def ask_once(port: int, request: bytes, seconds: float = 30.0) -> Answer:
    """One request on a connection of its own; nothing within so many seconds is no answer."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds), connected(port) as client:
            return await client.ask(request)
    except (TimeoutError, OSError):
        return Answer(seconds=time.monotonic() - began)
