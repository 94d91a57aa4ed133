"""Requests to the API server, and how their failures read."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import RawTestServer, TestServer

from tunefleet.kube.client import ApiError, Client, NoClusterError
from tunefleet.kube.credentials import Server
from tunefleet.kube.kubeconfig import of_kubeconfig
from tunefleet.kube.resources import RESOURCES

SECRET = RESOURCES["Secret"]


@pytest.mark.parametrize("text", ["", "nonsense", "{}"])
async def test_a_kubeconfig_that_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    await asyncio.to_thread(path.write_text, text)
    with pytest.raises(NoClusterError, match="Set KUBECONFIG, or run in a pod"):
        await Client.connect(str(path))


def kubeconfig(folder: Path, **cluster: str) -> str:
    path = folder / "config"
    clusters = [{"name": "x", "cluster": {"server": "http://api.test:8080", **cluster}}]
    contexts = [{"name": "x", "context": {"cluster": "x", "user": "x"}}]
    users = [{"name": "x", "user": {"token": "secret"}}]
    config = {"clusters": clusters, "contexts": contexts, "users": users, "current-context": "x"}
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    return str(path)


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[tuple[str, str | None]]]]:
    """Its URL, and what it was asked: URL and Authorization."""
    asked: list[tuple[str, str | None]] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append((str(request.url), request.headers.get("Authorization")))
        return web.json_response({"metadata": {"name": "x"}})

    async with RawTestServer(handle, host="127.0.0.1") as http:
        yield f"http://127.0.0.1:{http.port}", asked


ASKED = ("http://api.test:8080/api/v1/namespaces/ns/secrets/x", "Bearer secret")


@pytest.mark.parametrize("told", ["kubeconfig", "environment"])
async def test_through_a_proxy_with_the_token_of_a_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    async with proxy() as (url, asked):
        for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        if told == "environment":
            monkeypatch.setenv("http_proxy", url)
        path = kubeconfig(tmp_path, **({"proxy-url": url} if told == "kubeconfig" else {}))
        async with await Client.connect(path) as client:
            assert client.server == "http://api.test:8080"
            assert await client.get(SECRET, "ns", "x") == {"metadata": {"name": "x"}}
    assert asked == [ASKED]


@pytest.mark.parametrize("direct", ["api.test", "*", ".test"])
async def test_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: str) -> None:
    path = kubeconfig(tmp_path)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", direct)
    assert (await of_kubeconfig(path, None)).proxy is None


def test_a_pod_does_without_the_kubernetes_library() -> None:
    code = "import sys, tunefleet.gateway.main, tunefleet.gateway.process; print('kubernetes' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


@pytest.mark.parametrize("status", [200, 502])
async def test_answers_that_are_not_the_api_servers(status: int) -> None:
    async def gateway(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>bad gateway</html>")

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ns/secrets/x", gateway)
    async with TestServer(app, host="127.0.0.1") as http, Client(Server(f"http://127.0.0.1:{http.port}")) as client:
        with pytest.raises(ApiError, match=f"{status} : <html>bad gateway"):
            await client.get(SECRET, "ns", "x")


@pytest.mark.apiserver
async def test_against_a_real_api_server(api: Client, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"a": "1"}}
    created = await api.create(SECRET, namespace, body)
    with pytest.raises(ApiError) as again:
        await api.create(SECRET, namespace, body)
    assert (again.value.status, again.value.reason) == (409, "AlreadyExists")
    patched = await api.merge_patch(SECRET, namespace, "x", {"data": {"b": "Mg=="}}, field_manager="tests")
    assert patched["data"] == {"a": "MQ==", "b": "Mg=="}
    stale = {**created, "data": {"c": "Mw=="}}
    with pytest.raises(ApiError) as conflict:
        await api.replace(SECRET, namespace, "x", stale)
    assert conflict.value.reason == "Conflict"
    with pytest.raises(ApiError) as other:
        await api.delete(SECRET, namespace, "x", uid="00000000-0000-0000-0000-000000000000")
    assert other.value.status == 409
    await api.delete(SECRET, namespace, "x", uid=created["metadata"]["uid"])
    with pytest.raises(ApiError) as gone:
        await api.get(SECRET, namespace, "x")
    assert (gone.value.status, gone.value.reason) == (404, "NotFound")


@pytest.mark.apiserver
async def test_lists_of_a_real_api_server_in_pages(
    api: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunefleet.kube.client.PAGE", 2)
    for n in range(5):
        await api.create(SECRET, namespace, {"metadata": {"name": f"s{n}", "labels": {"odd": str(n % 2)}}})
    everything = await api.list(SECRET, namespace)
    assert [item["metadata"]["name"] for item in everything.items] == [f"s{n}" for n in range(5)]
    odd = await api.list(SECRET, namespace, "odd=1")
    assert [item["metadata"]["name"] for item in odd.items] == ["s1", "s3"]
