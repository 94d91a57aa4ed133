"""The gateway as a process of its own, between an API server, an agent and an engine of the tests."""

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from tunefleet.api.names import AGENT_PORT, ENGINE_PORT
from tunefleet.gateway.parent import command

from .fake_agent import FakeAgent, agent
from .fake_api import FakeApi
from .harness import FLEET_KEY, Client, Engine, Script, say_ok
from .test_process import BASE, adapter, digest, endpoint, exact, free_port, pod

_addresses = itertools.count(1)


@dataclass
class Live:
    """A running gateway, of one process or several."""

    process: asyncio.subprocess.Process
    engine: Engine
    agent: FakeAgent
    session: aiohttp.ClientSession
    port: int
    admin_port: int
    log: Path
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        """A connection that ends with the test."""
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def admin(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.admin_port}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, check: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
        """Ask until it holds; who does not listen says no."""
        async with asyncio.timeout(seconds):
            while not await _holds(check):  # noqa: ASYNC110 - what is asked stands for another process
                await asyncio.sleep(0.01)

    async def ready(self) -> None:
        async def check() -> bool:
            assert self.process.returncode is None, self.log.read_text()
            return (await self.admin("/readyz"))[0] == 200

        await self.until(check)

    def workers(self) -> list[int]:
        """Process ids."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 60)


async def _holds(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await check()
    except (aiohttp.ClientError, ConnectionError):
        return False


def _kubeconfig(host: str) -> dict[str, Any]:
    named: dict[str, Any] = {"name": "tests"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [named | {"cluster": {"server": host}}],
        "users": [named | {"user": {"token": "-"}}],
        "contexts": [named | {"context": {"cluster": "tests", "user": "tests"}}],
    }


@asynccontextmanager
async def live(
    directory: Path, *arguments: str, script: Script = say_ok, objects: Iterable[tuple[str, dict[str, Any]]] = ()
) -> AsyncIterator[Live]:
    """A gateway with these arguments, ready to serve MODEL; ended with the test. `objects`: further ones, by kind."""
    ip = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}.{next(_addresses)}"  # of this test alone
    upstream = Engine(script)
    loaded = {exact(1): digest(1)}
    api = FakeApi()
    async with TestServer(api.app(), host="127.0.0.1") as server_of_api, agent(ip, AGENT_PORT, loaded=loaded) as spoken:
        server = await asyncio.start_server(upstream.serve, ip, ENGINE_PORT)
        here = pod()
        here["status"]["podIP"] = ip
        for kind, obj in (
            ("BaseModel", BASE),
            ("LoRAAdapter", adapter(1)),
            ("InferenceEndpoint", endpoint()),
            ("Pod", here),
            *objects,
        ):
            api.put(kind, obj)
        (directory / "kubeconfig").write_text(json.dumps(_kubeconfig(str(server_of_api.make_url("")))))
        (directory / "key").write_bytes(FLEET_KEY)
        log = directory / "log"
        ports = free_port(), free_port()
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command(
                    ("--auth=open", "--host=127.0.0.1", f"--port={ports[0]}", f"--admin-port={ports[1]}",
                     f"--kubeconfig={directory}/kubeconfig", f"--fleet-key-file={directory}/key", *arguments)
                ), stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            async with aiohttp.ClientSession() as session:
                now = Live(process, upstream, spoken, session, *ports, log)
                try:
                    await now.ready()
                    yield now
                finally:
                    for client in now.clients:
                        client.writer.close()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            server.close()
            await upstream.stop()
