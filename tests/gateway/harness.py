"""A gateway in this process, engines that record what reaches them and do what a test says, and a plain client."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tunefleet.gateway.hold import HoldLimits
from tunefleet.gateway.server import Server
from tunefleet.gateway.settings import Settings
from tunefleet.gateway.state import EngineKeys, GatewayState
from tunefleet.gateway.tls import Tls
from tunefleet.plan.credentials import ENGINE_PURPOSE, derive
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, Route, RouteTable, ServedModel, Target

FLEET_KEY = b"fleet key of the tests"
MODEL = "support-de"
ENGINE_NAME = "support-de@v4-1f3a9c2e"
BASE_ENGINE_NAME = "tiny-chat@v1-00000000"
CHAT = "/v1/chat/completions"


@dataclass
class Received:
    """A request as an engine got it."""

    head: bytes
    body: bytes

    @property
    def request_line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def lines(self) -> list[bytes]:
        return self.head.split(b"\r\n")[1:-2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Call:
    """One request at an engine, and the means to answer it."""

    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", status: bytes = b"200 OK", *lines: bytes) -> None:
        extra = b"".join(line + b"\r\n" for line in lines)
        await self.send(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), extra, body))

    async def stream(self, *events: bytes, finish: bool = True) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in events:
            await self.event(event)
        if finish:
            await self.send(b"0\r\n\r\n")

    async def event(self, event: bytes) -> None:
        data = b"data: " + event + b"\n\n"
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def gone(self) -> None:
        """Wait until the gateway closes this connection."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read()

    def reset(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Call], Awaitable[None]]


async def say_ok(call: Call) -> None:
    await call.answer()


@dataclass
class Engine:
    """Listens on an address of its own; answers every request by `script`."""

    script: Script = say_ok
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    pod: str = "engine-0"
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"\r\ncontent-length: (\d+)\r\n", head)[1])  # type: ignore[index]
                request = Received(head, await reader.readexactly(length))
                self.received.append(request)
                await self.script(Call(request, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        """End every connection."""
        tasks = tuple(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)

    @property
    def backend(self) -> Backend:
        return Backend("127.0.0.1", self.port, Key("ns", self.pod), "endpoint", BASE_ENGINE_NAME)

    @property
    def authorization(self) -> bytes:
        return b"authorization: Bearer " + derive(FLEET_KEY, ENGINE_PURPOSE, "ns", "endpoint").encode()


@contextlib.asynccontextmanager
async def engine(script: Script = say_ok, pod: str = "engine-0") -> AsyncIterator[Engine]:
    made = Engine(script, pod=pod)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.stop()


def table(*engines: Engine, **more: Route) -> RouteTable:
    """MODEL on these engines, and further routes."""
    backends = tuple(e.backend for e in engines)
    route = Route(MODEL, (Target(ENGINE_NAME, 100, backends),))
    exact = {ENGINE_NAME: route, f"{MODEL}@v4": route} if backends else {}
    models = (ServedModel(MODEL, "2026-11-21T12:00:00Z", "tiny-chat", (ENGINE_NAME,)),) if backends else ()
    routes = {MODEL: route, **exact, **more}
    known = {b: None for route in routes.values() for target in route.targets for b in target.backends}
    return RouteTable(routes, models, backends=tuple(known))


@dataclass
class Gateway:
    """A running gateway."""

    state: GatewayState
    server: Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def later(self, seconds: float) -> None:
        """What the sweep would do so many seconds from now."""
        for connection in self.server.connections:
            connection.expire(self.state.clock() + seconds)

    async def client(self) -> "Client":
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def once(self, data: bytes) -> bytes:
        """Everything that the gateway sends back until it closes."""
        async with await self.client() as client:
            await client.send(data)
            return await client.rest()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels, as they are scraped; names of ours without their prefix."""
        families = text_string_to_metric_families(self.state.metrics.render().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name in (name, f"tunefleet_gateway_{name}") and labels.items() <= sample.labels.items()
        )


@contextlib.asynccontextmanager
async def gateway(
    *engines: Engine, settings: Settings | None = None, tls: Tls | None = None, **more: Route
) -> AsyncIterator[Gateway]:
    state = GatewayState(settings or NO_HOLD, EngineKeys(FLEET_KEY), asyncio.get_running_loop().time)
    state.swap(table(*engines, **more))
    server = Server(state, tls)
    await server.listen("127.0.0.1", 0)
    try:
        yield Gateway(state, server, server.port)
    finally:
        await server.drain(0)
        await server.connections.all_gone()


@dataclass
class Response:
    """A response as a client got it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error of the gateway."""
        code: str = self.json["error"]["code"]
        return code


@dataclass
class Client:
    """A client that sends the bytes it is told to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Response:
        """The next response's head."""
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        return Response(int(status.split(" ")[1]), headers, b"")

    async def response(self, *, body: bool = True) -> Response:
        """The next whole response, decoded."""
        response = await self.head()
        if not body:
            return response
        if response.headers.get("transfer-encoding") == "chunked":
            response.body = b"".join([chunk async for chunk in self.chunks()])
        else:
            response.body = await self.reader.readexactly(int(response.headers["content-length"]))
        return response

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a body, until the last; IncompleteReadError when it is cut off."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readuntil(b"\r\n")

    async def rest(self) -> bytes:
        return await self.reader.read()


def post(body: bytes | dict[str, Any], *lines: bytes, path: str = CHAT, version: bytes = b"1.1") -> bytes:
    """A request with a body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    extra = b"".join(line + b"\r\n" for line in lines)
    return b"POST %b HTTP/%b\r\nHost: gateway\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path.encode(),
        version,
        len(data),
        extra,
        data,
    )


def get(path: str, *lines: bytes, method: str = "GET") -> bytes:
    """A request without a body."""
    extra = b"".join(line + b"\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\nHost: gateway\r\n".encode() + extra + b"\r\n"


NO_HOLD = Settings(hold=HoldLimits(seconds=0))
"""Whoever cannot be answered now is told so now."""
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
