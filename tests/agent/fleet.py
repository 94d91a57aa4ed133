"""An agent beside a fake engine, with claims and Secrets of the test's own making."""

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.agent.fake_engine import BASE, KEY, FakeEngine
from tests.artifacts.samples import write_adapter, write_base
from tunefleet.agent.runtime import running_agent
from tunefleet.agent.server import Agent, make_app
from tunefleet.agent.settings import AgentSettings, Timing
from tunefleet.api.conditions import Reason
from tunefleet.api.names import engine_name
from tunefleet.artifacts.digest import counts, version_digest
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.store import sha256_of_file
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, DesiredAdapter

WRITE = {"Authorization": "Bearer write-token"}
READ = {"Authorization": "Bearer read-token"}
FAST = Timing(poll=0.02, poll_lost=0.01, first_retry=0.02, longest_retry=0.1, leave=0.05)


@dataclass
class Secrets:
    """Secrets in memory."""

    data: dict[str, dict[str, str]] = field(default_factory=dict)

    async def read(self, name: str) -> Mapping[str, str]:
        if name not in self.data:
            raise ArtifactError(Reason.SECRET_NOT_FOUND, f"the Secret {name} does not exist", transient=True)
        return self.data[name]


def digest_of(directory: Path) -> str:
    """The digest of an adapter's directory."""
    names = [path.name for path in directory.iterdir() if counts("adapter", path.name)]
    return version_digest({name: sha256_of_file(directory / name) for name in names})


@dataclass
class Pod:
    """A pod's disk, which outlives its agents, and the claim `adapters` beside it."""

    directory: Path
    engine: FakeEngine
    secrets: Secrets = field(default_factory=Secrets)
    device: str = "gpu"
    slots: int = 8
    timing: Timing = FAST
    disk_bytes: int = 2**30

    def __post_init__(self) -> None:
        write_base(self.directory / "models" / "base")
        (self.directory / "adapters").mkdir()
        self.claim.mkdir(parents=True)

    @property
    def claim(self) -> Path:
        return self.directory / "sources" / "adapters"

    @property
    def settings(self) -> AgentSettings:
        return AgentSettings(
            engine_url=self.engine.url,
            base_engine_name=BASE,
            base_path=self.directory / "models" / "base",
            slots=self.slots,
            max_rank=16,
            device="cpu" if self.device == "cpu" else "gpu",
            namespace="team-a",
            engine_options="dtype=auto",
            product="a processor",
            disk_bytes=self.disk_bytes,
            engine_key=KEY,
            write_token="write-token",
            read_token="read-token",
            root=self.directory / "adapters",
            mount_root=self.directory / "sources",
            timing=self.timing,
        )

    def adapter(self, name: str = "german", version: int = 1, **config: Any) -> DesiredAdapter:
        """Put an adapter on the claim and say how to desire it."""
        tensors = config.pop("tensors", None)
        place = write_adapter(self.claim / f"{name}-{version}", tensors, **{"name": name, "v": version, **config})
        digest = digest_of(place)
        return DesiredAdapter(
            engine_name=engine_name(name, version, digest),
            uri=f"pvc://adapters/{place.name}",
            digest=digest,
            rank=8,
        )

    def same_bytes(self, desired: DesiredAdapter, name: str) -> DesiredAdapter:
        """The same adapter once more, at a place and under a name of its own."""
        place = shutil.copytree(self.claim / desired.uri.rpartition("/")[2], self.claim / f"{name}-1")
        return desired.model_copy(
            update={"engine_name": engine_name(name, 1, desired.digest), "uri": f"pvc://adapters/{place.name}"}
        )

    def lose_source(self, desired: DesiredAdapter) -> None:
        shutil.rmtree(self.claim / desired.uri.rpartition("/")[2])

    def stored(self, desired: DesiredAdapter) -> Path:
        return self.directory / "adapters" / desired.digest.removeprefix("sha256:")


@dataclass
class Running:
    """A running agent and a client of its API."""

    agent: Agent
    session: aiohttp.ClientSession
    url: str

    async def put(self, *adapters: DesiredAdapter) -> AdaptersReport:
        body = {"adapters": [adapter.dump() for adapter in adapters]}
        async with self.session.put(f"{self.url}/v1/adapters", json=body, headers=WRITE) as response:
            assert response.status == 202, await response.text()
            return AdaptersReport.read(await response.json())

    async def report(self, after: str = "") -> AdaptersReport:
        async with self.session.get(f"{self.url}/v1/adapters", params={"after": after}, headers=READ) as response:
            assert response.status == 200, await response.text()
            return AdaptersReport.read(await response.json())

    async def wait(self, holds: Callable[[AdaptersReport], bool]) -> AdaptersReport:
        """Long-poll until the report is as wanted: what gateways and the operator do."""
        report = await self.report()
        while not holds(report):
            report = await self.report(after=report.etag)
        return report

    async def wait_for(self, desired: DesiredAdapter, state: AdapterState) -> AdapterReport:
        report = await self.wait(lambda r: state_of(r, desired) == state)
        return next(a for a in report.adapters if a.engine_name == desired.engine_name)

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.text()


def state_of(report: AdaptersReport, desired: DesiredAdapter) -> AdapterState | None:
    """Where an adapter stands, or None when the report does not have it."""
    return next((a.state for a in report.adapters if a.engine_name == desired.engine_name), None)


@asynccontextmanager
async def agent_in(pod: Pod) -> AsyncIterator[Running]:
    """An agent process of the pod, with its HTTP API on a loopback port."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        agent = await stack.enter_async_context(running_agent(pod.settings, session, pod.secrets))
        runner = web.AppRunner(make_app(agent), shutdown_timeout=0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Running(agent, session, f"http://127.0.0.1:{runner.addresses[0][1]}")
