"""Kill a pod or an engine under load, and see how long nobody answers, beside what the bare engine needs to start."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from dev.demo.load import Load
from dev.demo.prepare import NAMESPACE
from tunefleet.api.names import ENGINE_PORT
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError

from .fleet import CHANGING, ENDPOINT, ENGINES, Fleet
from .judgement import longest_silence

PATIENCE = 180.0
RATE = 5.0
"""Requests a second: a gateway holds as many as come while an engine starts."""
KILL_ENGINE_CORE = """
import os, pathlib, signal
processes = pathlib.Path("/proc").glob("[0-9]*")
for core in [p for p in processes if (p / "cmdline").read_bytes().startswith(b"VLLM::EngineCore")]:
    os.kill(int(core.name), signal.SIGKILL)
"""
"""The first process of a container is safe from its own kind; the engine's core is what dies in real life."""
Victim = Literal["pod", "engine"]


@dataclass(frozen=True)
class Recovery:
    """One kill."""

    victim: Victim
    replicas: int
    seconds: float
    """With one replica the time in which nobody answered; with more, until all were ready again."""
    bare_start_seconds: float
    """Start of the new engine's process to its first healthy answer."""


async def kill(fleet: Fleet, load: Load, victim: Victim, replicas: int) -> Recovery:
    """Kill, wait until everything is ready again and answers, and measure."""
    before = await asyncio.to_thread(engine_pods, fleet)
    killed, wall = load.clock(), time.time()
    await asyncio.to_thread(_kill_pod if victim == "pod" else _kill_engine, fleet, before[0])
    async with asyncio.timeout(PATIENCE):
        bare = await _bare_start(fleet, wall)
    await asyncio.to_thread(_until, lambda: _all_ready(fleet, replicas))
    ready = load.clock()
    async with asyncio.timeout(PATIENCE):
        await load.first(lambda a: a.question.model == CHANGING and not a.error and a.started > ready)
    seconds = longest_silence(load.answers, CHANGING, killed) if replicas == 1 else ready - killed
    return Recovery(victim, replicas, seconds, bare)


def engine_pods(fleet: Fleet) -> list[Any]:
    """Pods of the endpoint that nobody deleted."""
    found: list[Any] = fleet.core.list_namespaced_pod(NAMESPACE, label_selector=ENGINES).items
    return [pod for pod in found if pod.metadata.deletion_timestamp is None]


async def scale(fleet: Fleet, replicas: int) -> None:
    """Set spec.replicas and wait until as many are ready."""
    await asyncio.to_thread(fleet.patch, "inferenceendpoints", ENDPOINT, {"replicas": replicas})
    await asyncio.to_thread(_until, lambda: _all_ready(fleet, replicas))


def _kill_pod(fleet: Fleet, pod: Any) -> None:
    """Without grace: its processes get SIGKILL."""
    fleet.core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=0)


def _kill_engine(fleet: Fleet, pod: Any) -> None:
    fleet.shell.kubectl(
        "exec", "-n", NAMESPACE, pod.metadata.name, "-c", "engine", "--", "python3", "-c", KILL_ENGINE_CORE, quiet=True
    )  # fmt: skip


def _all_ready(fleet: Fleet, replicas: int) -> bool:
    pods = engine_pods(fleet)
    return len(pods) == replicas and all(_is_ready(pod) for pod in pods) and _holds_everything(fleet, replicas)


def _is_ready(pod: Any) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def _holds_everything(fleet: Fleet, replicas: int) -> bool:
    """Whether the changing adapter is loaded on every pod."""
    found = fleet.shell.kubectl("get", "loraadapter", "-n", NAMESPACE, CHANGING, "-o", "json", quiet=True)
    loaded: dict[str, int] = json.loads(found)["status"]["loaded"]
    return loaded.get("ready") == replicas


async def _bare_start(fleet: Fleet, since: float) -> float:
    """Seconds from the start of an engine process that is younger than `since` to its first healthy answer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while True:
            for pod in await asyncio.to_thread(engine_pods, fleet):
                started = await _started(session, pod.status.pod_ip)
                if started is not None and started > since:
                    return time.time() - started
            await asyncio.sleep(0.1)


async def _started(session: aiohttp.ClientSession, address: str | None) -> float | None:
    """When the engine's process started, by its own metrics; None while it is not healthy."""
    engine = EngineClient(session, f"http://{address}:{ENGINE_PORT}", api_key="")
    try:
        await engine.healthy()
        return await engine.start_time()
    except (EngineError, TimeoutError):
        return None


def _until(holds: Callable[[], bool]) -> None:
    """Blocks its thread. Raises TimeoutError after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"engines were not ready within {PATIENCE:.0f} s")
        time.sleep(0.2)
