"""What a node would do, in the tests' hands: pods that run, inspections that end, an agent that answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.handlers.control_plane import ControlPlane
from tunefleet.api.names import AGENT_PORT

DIGEST = "sha256:" + "ab" * 32
ARCHITECTURE = {
    "modelType": "llama",
    "className": "LlamaForCausalLM",
    "parameters": 1000,
    "weightBytes": 2000,
    "layers": 2,
    "hiddenSize": 64,
    "intermediateSize": 128,
    "attentionHeads": 2,
    "kvHeads": 2,
    "headDim": 32,
    "vocabSize": 100,
    "maxPositions": 128,
    "dtype": "bfloat16",
    "modules": {"q_proj": [64, 64]},
}
ADAPTER = {
    "rank": 8,
    "ranks": [8],
    "configuredRank": 8,
    "configuredRanks": [8],
    "targetModules": ["q_proj"],
    "modules": {"q_proj": [64, 64]},
    "layers": 2,
    "tensors": 4,
}


def base_model(namespace: str, name: str = "chat") -> dict[str, Any]:
    """A base with one version."""
    return _object("BaseModel", namespace, name, {"versions": [{"version": 1, "source": {"uri": "pvc://models/base"}}]})


def adapter(
    namespace: str, name: str, base: str = "chat", versions: Iterable[int] = (1,), active: int = 1
) -> dict[str, Any]:
    """An adapter of it."""
    listed = [
        {"version": number, "baseModelVersion": 1, "source": {"uri": f"pvc://models/{name}/v{number}"}}
        for number in versions
    ]
    return _object(
        "LoRAAdapter", namespace, name, {"baseModelRef": {"name": "chat"}, "activeVersion": active, "versions": listed}
    )


def endpoint(namespace: str, name: str = "chat") -> dict[str, Any]:
    """One engine on CPU."""
    spec = {"model": {"name": name, "version": 1}, "accelerator": {"resourceName": "cpu"}}
    return _object("InferenceEndpoint", namespace, name, spec)


def _object(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "tunefleet.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def pods(plane: ControlPlane, namespace: str, component: str) -> list[dict[str, Any]]:
    """Living pods of ours."""
    found = plane.get("pods", "-n", namespace, "-l", f"app.kubernetes.io/component={component}")["items"]
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def finish_inspection(plane: ControlPlane, pod: dict[str, Any]) -> None:
    """The pod of an inspection Job read a good base."""
    result = {"kind": "base", "digest": DIGEST, "sizeBytes": 2000, "architecture": ARCHITECTURE}
    state = {"terminated": {"exitCode": 0, "message": json.dumps(result), "finishedAt": "2026-01-01T00:00:00Z"}}
    container = pod["spec"]["containers"][0]
    status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0}
    _patch_status(plane, pod, {"phase": "Succeeded", "containerStatuses": [{**status, "state": state}]})


def run_engine(plane: ControlPlane, pod: dict[str, Any], address: str) -> None:
    """The engine's pod is up and ready."""
    conditions = [
        {"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    _patch_status(
        plane, pod, {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
    )


def _patch_status(plane: ControlPlane, pod: dict[str, Any], status: dict[str, Any]) -> None:
    metadata = pod["metadata"]
    patch = json.dumps({"status": status})
    plane.kubectl(
        *("patch", "pod", metadata["name"], "-n", metadata["namespace"]),
        *("--subresource=status", "--type=merge", "-p", patch),
    )


class Agent:
    """Speaks the agents' API; loads at once whatever it is told to hold."""

    def __init__(self, engine_name: str) -> None:
        self.held: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.inspected: list[str] = []
        self.puts = 0
        self._engine_name = engine_name
        self._changed = asyncio.Condition()
        self._number = 1

    @property
    def report(self) -> dict[str, Any]:
        """The answer to GET and PUT."""
        adapters = [
            {"engineName": held["engineName"], "uri": held["uri"], "digest": held["digest"], "state": "Loaded"}
            for held in self.held
        ]
        engine = {"name": self._engine_name, "ready": True, "slots": 8, "maxRank": 16, "device": "cpu", "starts": 1}
        return {"etag": f"boot-{self._number}", "engine": engine, "adapters": adapters}

    async def get(self, request: web.Request) -> web.Response:
        """The long poll."""
        self.tokens.add(request.headers["Authorization"])
        async with self._changed:
            try:
                async with asyncio.timeout(30):
                    await self._changed.wait_for(lambda: request.query.get("after") != self.report["etag"])
            except TimeoutError:
                pass
        return web.json_response(self.report)

    async def put(self, request: web.Request) -> web.Response:
        """Takes the desired set."""
        self.tokens.add(request.headers["Authorization"])
        self.puts += 1
        async with self._changed:
            self.held = (await request.json())["adapters"]
            self._number += 1
            self._changed.notify_all()
        return web.json_response(self.report, status=202)

    async def inspect(self, request: web.Request) -> web.Response:
        """Every adapter is good, and each has bytes of its own."""
        uri = (await request.json())["uri"]
        self.inspected.append(uri)
        digest = f"sha256:{abs(hash(uri)) % 16**64:064x}"
        answer = {"kind": "adapter", "resolvedUri": uri, "digest": digest, "sizeBytes": 10, "adapter": ADAPTER}
        return web.json_response(answer)


@asynccontextmanager
async def serving(agent: Agent, address: str) -> AsyncIterator[None]:
    """The agent listens on a loopback address while the block runs."""
    app = web.Application()
    app.add_routes([web.get("/v1/adapters", agent.get), web.put("/v1/adapters", agent.put)])
    app.add_routes([web.post("/v1/inspections", agent.inspect)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, AGENT_PORT).start()
        yield
    finally:
        await runner.cleanup()
