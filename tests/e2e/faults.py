"""How the end-to-end tests break things: processes of the cluster's machine, a storage that stalls, a pod that lies."""

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from kubernetes import client, config

from dev import commands
from dev.cluster import machine, runtime
from dev.cluster.engine import docker_and_kind
from dev.demo.prepare import image_references, service_address
from dev.settings import Settings
from tunefleet.api.names import AGENT_PORT, ENGINE_PORT

from .fleet import Fleet

KILL_ENGINE_CORE = """
import os, pathlib, signal
processes = pathlib.Path("/proc").glob("[0-9]*")
cores = [p for p in processes if (p / "cmdline").read_bytes().startswith(b"VLLM::EngineCore")]
assert cores, "no engine core runs"
for core in cores:
    os.kill(int(core.name), signal.SIGKILL)
"""
"""The first process of a container is safe from its own kind; the engine's core is what dies in real life."""

STALLING_PROXY = """
import asyncio
from aiohttp import ClientSession, web

gate, waiting = asyncio.Event(), 0

def is_large(request):
    first, _, last = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
    return request.path.endswith(".safetensors") and (not last or int(last) - int(first) > 65536)

async def forward(request):
    global waiting
    if request.method == "GET" and is_large(request):
        waiting += 1
        try:
            await gate.wait()
        finally:
            waiting -= 1
    headers = {k: v for k, v in request.headers.items() if k.lower() not in ("connection", "transfer-encoding")}
    async with ClientSession(auto_decompress=False) as session:
        url = "http://storage:7070" + request.raw_path
        async with session.request(request.method, url, headers=headers, data=await request.read() or None) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("connection", "transfer-encoding")}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

async def open_gate(request):
    gate.set()
    return web.Response()

async def count(request):
    return web.Response(text=str(waiting))

app = web.Application()
app.add_routes([web.post("/gate", open_gate), web.get("/waiting", count), web.route("*", "/{path:.*}", forward)])
web.run_app(app, port=7070)
"""
"""An S3 server in front of the S3 server, that keeps whoever reads the bytes of weights waiting until told to go on."""

STRANGER = f"""
import asyncio, json
from aiohttp import web

asked = []

async def lie(request):
    asked.append([request.method, request.path, request.headers.get("Authorization", "")])
    choice = {{"index": 0, "message": {{"role": "assistant", "content": "stolen"}}, "finish_reason": "stop"}}
    return web.json_response({{"model": "german@v1-00000000", "choices": [choice], "etag": "x-1", "adapters": []}})

async def tell(request):
    return web.json_response(asked)

async def main():
    app = web.Application()
    app.add_routes([web.get("/asked", tell), web.route("*", "/{{path:.*}}", lie)])
    runner = web.AppRunner(app)
    await runner.setup()
    for port in ({ENGINE_PORT}, {AGENT_PORT}):
        await web.TCPSite(runner, port=port).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""Answers on an engine's and an agent's ports, and remembers who asked."""


def patch_quickly(fleet: Fleet, name: str, *versions: int) -> None:
    """Patches of activeVersion one right after the other, as programs send them: no kubectl starts in between."""
    api = client.CustomObjectsApi(config.new_client_from_config(str(fleet.shell.kubeconfig)))
    for version in versions:
        body = {"spec": {"activeVersion": version}}
        api.patch_namespaced_custom_object("tunefleet.io", "v1alpha1", fleet.namespace, "loraadapters", name, body)
    api.api_client.close()


def kill_container(cluster: Settings, pod: dict[str, Any], name: str) -> None:
    """SIGKILL to a container's first process, from outside of it."""
    status = pod["status"]
    statuses = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    (identifier,) = (s["containerID"].partition("://")[2] for s in statuses if s["name"] == name)
    arguments = ("tasks", "kill", "--signal", "SIGKILL", identifier)
    if docker_and_kind():
        commands.run(["docker", "exec", _kind_node(cluster), "ctr", "--namespace", runtime.NAMESPACE, *arguments])
    else:
        runtime.ctr(cluster, *arguments)


@contextmanager
def frozen_api_server(cluster: Settings) -> Iterator[None]:
    """While the block runs the API server keeps its connections and answers nobody."""
    _signal_api_server(cluster, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal_api_server(cluster, signal.SIGCONT)


def _signal_api_server(cluster: Settings, number: signal.Signals) -> None:
    if docker_and_kind():
        commands.run(["docker", "exec", _kind_node(cluster), "pkill", f"-{number.value}", "-x", "kube-apiserver"])
        return
    process = (cluster.run / "kube-apiserver.pid").read_text().strip()
    commands.run([*machine.enter(cluster), "kill", f"-{number.value}", process])


def _kind_node(cluster: Settings) -> str:
    return f"{cluster.name}-control-plane"


class StallingStorage:
    """The models' S3 server behind a proxy that stalls."""

    def __init__(self, fleet: Fleet) -> None:
        """Start it; `secret` names credentials that lead to it."""
        self.secret = "slow-storage"
        self._fleet = fleet
        endpoint = {"AWS_ENDPOINT_URL": "http://slow-storage:7070"}
        keys = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret", "AWS_REGION": "us-east-1"}
        service = {"selector": {"app": "slow-storage"}, "ports": [{"port": 7070}]}
        fleet.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.secret}, "stringData": keys | endpoint},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "slow-storage"}, "spec": service},
            script_pod("slow-storage", STALLING_PROXY, 7070, labels={"app": "slow-storage"}),
        )
        fleet.wait("pod/slow-storage", "condition=Ready", 60)
        self._url = service_address(fleet.shell, fleet.namespace, "slow-storage")

    def waiting(self) -> bool:
        """Whether a read stalls now. A ready pod may be ahead of its Service."""
        try:
            return int(_fetch(f"{self._url}/waiting")) > 0
        except urllib.error.URLError:
            return False

    def go_on(self) -> None:
        """From now on it is quick."""
        _fetch(f"{self._url}/gate", data=b"")

    def remove(self) -> None:
        """It goes at once."""
        self._fleet.kubectl("delete", "pod/slow-storage", "--ignore-not-found", "--grace-period=0", "--force")
        self._fleet.delete(["service/slow-storage", "secret/slow-storage"])


def script_pod(name: str, script: str, port: int, **metadata: Any) -> dict[str, Any]:
    """A pod that runs Python and is ready when it listens, under the restricted Pod Security standard."""
    container = {
        "name": "engine",
        "image": image_references().gateway,
        "imagePullPolicy": "Never",
        "command": ["/opt/tunefleet/bin/python", "-c", script],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


class Asked(NamedTuple):
    """A request that the stranger got."""

    method: str
    path: str
    authorization: str


def asked_of_stranger(address: str) -> list[Asked]:
    """Everything that the stranger at this address was asked."""
    return [Asked(*asked) for asked in json.loads(_fetch(f"http://{address}:{ENGINE_PORT}/asked"))]


def opens_the_agent(address: str, authorization: str) -> bool:
    """Whether the real agent at this address answers to these words."""
    url = f"http://{address}:{AGENT_PORT}/v1/adapters"
    try:
        _fetch(urllib.request.Request(url, headers={"Authorization": authorization}))
    except urllib.error.HTTPError as refused:
        return refused.code not in {401, 403}
    return True


def _fetch(url: str | urllib.request.Request, data: bytes | None = None) -> bytes:
    """GET, or POST of data, to a pod of the tests."""
    with urllib.request.urlopen(url, data=data, timeout=5) as answer:  # noqa: S310 - http, by the callers above
        found: bytes = answer.read()
        return found
