"""`splice.py PORT ENGINE_HOST ENGINE_PORT`: bytes from clients to an engine and back, unread. Not a proxy, a floor.

It takes the answer's first bytes for its end, so connections to the engine are pooled without knowing HTTP.
"""

import asyncio
import sys
from typing import Any


class Engine(asyncio.Protocol):
    """A connection to the engine."""

    def __init__(self) -> None:
        self.client: Client | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.client is not None:
            self.client.transport.write(data)
            if data.endswith((b"}", b"0\r\n\r\n")):
                self.client = None
                POOL.append(self)


POOL: list[Engine] = []


class Client(asyncio.Protocol):
    """A connection of a client."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if POOL:
            self.send(POOL.pop(), data)
        else:
            self.dialing = asyncio.ensure_future(self.dial(data))

    def send(self, engine: Engine, data: bytes) -> None:
        engine.client = self
        engine.transport.write(data)

    async def dial(self, data: bytes) -> None:
        host, port = sys.argv[2:]
        _, engine = await asyncio.get_running_loop().create_connection(Engine, host, int(port))
        self.send(engine, data)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
