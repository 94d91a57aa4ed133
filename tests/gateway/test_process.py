"""The whole process: objects, pods and agents in, routed requests out, and a clean end."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tunefleet.api.names import engine_name
from tunefleet.gateway import agents as agents_module
from tunefleet.gateway import sources as sources_module
from tunefleet.gateway.process import Process, serve
from tunefleet.gateway.settings import Settings
from tunefleet.kube.client import Client
from tunefleet.plan.demand import DEMAND_PATH, DemandReport

from .fake_agent import FakeAgent, agent
from .fake_api import FakeApi, api_server
from .harness import BASE_ENGINE_NAME, FLEET_KEY, MODEL, NO_HOLD, Call, Engine, engine

Json = dict[str, Any]


def digest(version: int) -> str:
    return f"sha256:{version:064x}"


def exact(version: int) -> str:
    return engine_name(MODEL, version, digest(version))


def adapter(serving: int | None) -> Json:
    versions = [{"version": n, "source": {"uri": "pvc://a/b"}, "baseModelVersion": 1} for n in (1, 2)]
    share = {"version": serving, "engineName": exact(serving), "weight": 100} if serving else None
    return {
        "metadata": {"name": "adapter", "namespace": "ns", "creationTimestamp": "2026-01-02T00:00:00Z"},
        "spec": {
            "baseModelRef": {"name": "tiny"},
            "servedModelName": MODEL,
            "activeVersion": 1,
            "versions": versions,
        },
        "status": {
            "traffic": [share] if share else [],
            "versions": [{"version": n, "digest": digest(n), "accepted": True} for n in (1, 2)],
            "conditions": [{"type": "FromTheFuture", "reason": "NotKnownHere"}],
        },
    }


BASE = {
    "metadata": {"name": "tiny", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"servedModelName": "tiny-chat", "versions": [{"version": 1, "source": {"uri": "pvc://a/b"}}]},
    "status": {"versions": [{"version": 1, "digest": "sha256:" + "0" * 64, "accepted": True}]},
}


def endpoint(state: str = "Serving") -> Json:
    revision = {
        "name": "endpoint-1",
        "baseModelVersion": 1,
        "engineName": BASE_ENGINE_NAME,
        "state": state,
        "since": "2026-01-03T00:00:00Z",
    }
    return {
        "metadata": {"name": "endpoint", "namespace": "ns"},
        "spec": {"model": {"name": "tiny", "version": 1}},
        "status": {"revisions": [revision]},
    }


def pod(**meta: Any) -> Json:
    labels = {
        "tunefleet.io/endpoint": "endpoint",
        "tunefleet.io/revision": "endpoint-1",
        "tunefleet.io/base-model": "tiny",
    }
    return {
        "metadata": {"name": "engine-0", "namespace": "ns", "labels": labels, **meta},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }


@dataclass
class Running:
    """A gateway process in this one, and everything around it."""

    api: FakeApi
    agent: FakeAgent
    engine: Engine
    session: aiohttp.ClientSession
    port: int
    admin_port: int
    stop: asyncio.Event
    ended: "asyncio.Task[None]"

    async def ask(self, model: str = MODEL) -> tuple[int, str | None]:
        """Status and exact version of an answer."""
        url = f"http://127.0.0.1:{self.port}/v1/completions"
        async with self.session.post(url, json={"model": model}) as answer:
            await answer.read()
            return answer.status, answer.headers.get("x-tunefleet-model")

    async def admin(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.admin_port}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Ask until it holds; a port that is still closed says no."""
        async with asyncio.timeout(10):
            while not await self._holds(check):  # noqa: ASYNC110 - what is asked stands for another process
                await asyncio.sleep(0.002)

    async def _holds(self, check: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await check()
        except aiohttp.ClientConnectorError:
            return False

    async def answers(self, status: int, version: str | None = None, model: str = MODEL) -> None:
        """Wait until requests for the model are answered so."""

        async def check() -> bool:
            return await self.ask(model) == (status, version)

        await self.until(check)

    async def listening(self) -> None:
        async def check() -> bool:
            return (await self.admin("/readyz"))[0] == 200

        await self.until(check)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def say_model(call: Call) -> None:
    await call.answer(call.request.body)


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch, namespaces: tuple[str, ...] = (), settings: Settings | None = None
) -> AsyncIterator[Running]:
    """Objects are put by the test; the pod's engine and agent listen already."""
    async with api_server() as (api, client), agent() as spoken, engine(say_model) as upstream:
        monkeypatch.setattr(agents_module, "AGENT_PORT", spoken.port)
        monkeypatch.setattr(sources_module, "ENGINE_PORT", upstream.port)
        process = Process("127.0.0.1", free_port(), free_port(), namespaces, FLEET_KEY, None)
        stop = asyncio.Event()
        ended = asyncio.create_task(_serve(process, settings or Settings(drain_seconds=5), client, stop))
        async with aiohttp.ClientSession() as session:
            yield Running(api, spoken, upstream, session, process.port, process.admin_port, stop, ended)
        stop.set()
        await asyncio.wait_for(ended, 10)


async def _serve(process: Process, settings: Settings, client: Client, stop: asyncio.Event) -> None:
    await serve(process, settings, client, stop)


def put_all(now: Running, serving: int | None = 1) -> None:
    now.agent.loaded = {exact(1): digest(1), exact(2): digest(2)}
    now.agent.publish()
    for kind, obj in (
        ("BaseModel", BASE),
        ("LoRAAdapter", adapter(serving)),
        ("InferenceEndpoint", endpoint()),
        ("Pod", pod()),
    ):
        now.api.put(kind, obj)


async def test_from_objects_to_answers_and_back_by_one_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as now:
        await now.listening()
        assert await now.ask() == (404, None)
        put_all(now)
        await now.answers(200, exact(1))
        assert now.engine.received[-1].json == {"model": exact(1)}
        now.api.put("LoRAAdapter", adapter(2))
        await now.answers(200, exact(2))
        now.api.put("LoRAAdapter", adapter(1))
        await now.answers(200, exact(1))
        assert await now.ask("tiny-chat") == (200, BASE_ENGINE_NAME)
        assert await now.ask(f"{MODEL}@v2") == (200, exact(2))
        assert now.api.paths >= {"/api/v1/pods", "/apis/tunefleet.io/v1alpha1/loraadapters"}
        assert "app.kubernetes.io/component=engine,app.kubernetes.io/managed-by=tunefleet" in now.api.selectors


def engine_down(now: Running) -> None:
    now.agent.ready = False
    now.agent.publish()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda now: now.api.delete("Pod", "engine-0"), 503),
        (lambda now: now.api.put("Pod", pod(deletionTimestamp="2026-01-04T00:00:00Z")), 503),
        (lambda now: now.api.put("InferenceEndpoint", endpoint("Draining")), 503),
        (lambda now: now.api.put("LoRAAdapter", adapter(None)), 503),
        (lambda now: (now.agent.loaded.clear(), now.agent.publish()), 503),
        (engine_down, 503),
        (lambda now: now.api.delete("LoRAAdapter", "adapter"), 404),
    ],
)
async def test_whatever_ends_the_service_is_seen(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Running], object], status: int
) -> None:
    async with running(monkeypatch, settings=NO_HOLD) as now:
        put_all(now)
        await now.listening()
        assert await now.ask() == (200, exact(1))
        change(now)
        await now.answers(status)
        put_all(now)
        now.agent.ready = True
        now.agent.publish()
        await now.answers(200, exact(1))


async def test_the_public_port_opens_with_a_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that exists is ever called unknown: the first answer already is the right one."""
    async with running(monkeypatch) as now:
        put_all(now)

        seen = []

        async def opened() -> bool:
            seen.append(await now.ask())
            return True

        await now.until(opened)
        assert seen == [(200, exact(1))]


async def test_one_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, ("ns",)) as now:
        put_all(now)
        await now.listening()
        assert await now.ask() == (200, exact(1))
        assert all("/namespaces/ns/" in path for path in now.api.paths)


async def test_the_admin_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as now:
        put_all(now)
        await now.listening()
        await now.ask()
        await now.ask("nobody")
        assert (await now.admin("/healthz"))[0] == 200
        _, metrics = await now.admin("/metrics")
        assert f'tunefleet_gateway_requests_total{{model="{MODEL}",version="v1",code="2xx"}} 1\n' in metrics
        assert 'tunefleet_gateway_refused_requests_total{reason="model_not_found"} 1\n' in metrics
        assert "tunefleet_gateway_models 2\n" in metrics
        assert "nobody" not in metrics
        async with now.session.get(f"http://127.0.0.1:{now.admin_port}/table") as answer:
            table = await answer.json()
        assert table["models"] == [MODEL, "tiny-chat"]
        assert table["routes"][MODEL] == {
            "servedName": MODEL,
            "namespace": "ns",
            "versions": [{"engineName": exact(1), "weight": 100, "pods": ["ns/engine-0"]}],
            "fallback": None,
            "awaited": True,
        }
        assert table["pods"]["ns/engine-0"] == {
            "namespace": "ns",
            "name": "engine-0",
            "endpoint": "endpoint",
            "address": f"127.0.0.1:{now.engine.port}",
            "base": BASE_ENGINE_NAME,
            "region": "",
            "inFlight": 0,
            "idleConnections": 1,
            "ejected": None,
        }
        assert table["breakers"] == {}
        assert (await now.admin("/v1/models"))[0] == 404


async def test_on_stop_it_is_not_ready_lets_streams_finish_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    proceed = asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        await proceed.wait()
        await call.send(b"0\r\n\r\n")

    async with running(monkeypatch) as now:
        put_all(now)
        await now.listening()
        now.engine.script = script
        url = f"http://127.0.0.1:{now.port}/v1/completions"
        async with now.session.post(url, json={"model": MODEL}) as answer:
            now.stop.set()

            async def draining() -> bool:
                return await now.admin("/readyz") == (503, "draining\n")

            await now.until(draining)
            proceed.set()
            assert await answer.read() == b"data: 1\n\n"
        await asyncio.wait_for(now.ended, 10)


async def test_the_operator_hears_of_who_waits_and_its_answer_sends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, settings=Settings(drain_seconds=5)) as now:
        put_all(now)
        now.agent.loaded.clear()
        now.agent.publish()
        await now.listening()
        first = json.loads((await now.admin(DEMAND_PATH))[1])
        asked = asyncio.create_task(now.ask())
        status, text = await now.admin(f"{DEMAND_PATH}?after={first['etag']}")
        (seen,) = DemandReport.read(json.loads(text)).adapters
        assert (status, seen.namespace, seen.name, seen.waiting) == (200, "ns", "adapter", 1)
        now.agent.loaded = {exact(1): digest(1)}
        now.agent.publish()
        assert await asked == (200, exact(1))


async def test_a_port_that_is_taken_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with api_server() as (_, client):
            process = Process("127.0.0.1", taken.getsockname()[1], free_port(), (), FLEET_KEY, None)
            with pytest.raises(ExceptionGroup) as failed:
                await serve(process, Settings(), client, asyncio.Event())
            assert failed.group_contains(OSError, match="in use")
