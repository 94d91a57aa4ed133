"""Requests to the API server, and how their failures read."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.kube.client import ApiError, Client, NoClusterError
from tunefleet.kube.credentials import Server
from tunefleet.kube.resources import RESOURCES

SECRET = RESOURCES["Secret"]


@pytest.mark.parametrize("text", ["", "nonsense", "{}"])
async def test_a_kubeconfig_that_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    await asyncio.to_thread(path.write_text, text)
    with pytest.raises(NoClusterError, match="Set KUBECONFIG, or run in a pod"):
        await Client.connect(str(path))


@pytest.mark.parametrize("status", [200, 502])
async def test_answers_that_are_not_the_api_servers(status: int) -> None:
    async def proxy(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>bad gateway</html>")

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ns/secrets/x", proxy)
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
