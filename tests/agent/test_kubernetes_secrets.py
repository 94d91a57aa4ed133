"""Secrets through the API server, with the pod's service account."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.agent.kubernetes_secrets import KubernetesSecrets
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError


def encoded(**data: str) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


async def secret(request: web.Request) -> web.Response:
    if request.headers.get("Authorization") != "Bearer account-token":
        return web.json_response({}, status=401)
    match request.match_info["name"]:
        case "keys":
            return web.json_response({"kind": "Secret", "data": encoded(AWS_ACCESS_KEY_ID="me\n", HF_TOKEN="hf")})
        case "empty":
            return web.json_response({"kind": "Secret"})
        case "binary":
            return web.json_response({"kind": "Secret", "data": {"x": base64.b64encode(b"\xff\xfe").decode()}})
        case "forbidden":
            return web.json_response({}, status=403)
        case "broken":
            return web.json_response({}, status=500)
        case _:
            return web.json_response({}, status=404)


@pytest.fixture
async def secrets(tmp_path: Path) -> AsyncIterator[KubernetesSecrets]:
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/team-a/secrets/{name}", secret)
    (tmp_path / "token").write_text("account-token\n")
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield KubernetesSecrets(session, "team-a", str(server.make_url("")).rstrip("/"), tmp_path)


async def refused(secrets: KubernetesSecrets, name: str) -> ArtifactError:
    with pytest.raises(ArtifactError) as error:
        await secrets.read(name)
    assert error.value.transient
    return error.value


async def test_values_are_decoded_and_trimmed(secrets: KubernetesSecrets) -> None:
    assert await secrets.read("keys") == {"AWS_ACCESS_KEY_ID": "me", "HF_TOKEN": "hf"}
    assert await secrets.read("empty") == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere", Reason.SECRET_NOT_FOUND),
        ("binary", Reason.SECRET_NOT_FOUND),
        ("forbidden", Reason.ACCESS_DENIED),
        ("broken", Reason.SOURCE_UNREADABLE),
        ("../../pods", Reason.SECRET_NOT_FOUND),
    ],
)
async def test_refusals(secrets: KubernetesSecrets, name: str, reason: Reason) -> None:
    assert (await refused(secrets, name)).reason == reason


async def test_a_new_token_counts_at_once(secrets: KubernetesSecrets) -> None:
    (secrets.account / "token").write_text("old")
    assert (await refused(secrets, "keys")).reason == Reason.ACCESS_DENIED
    (secrets.account / "token").write_text("account-token")
    assert await secrets.read("keys")


async def test_an_api_server_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    async with aiohttp.ClientSession() as session:
        error = await refused(KubernetesSecrets(session, "team-a", "http://127.0.0.1:9", tmp_path), "keys")
    assert error.reason == Reason.SOURCE_UNREADABLE


async def test_a_pod_without_an_account(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        await refused(KubernetesSecrets(session, "team-a", "http://127.0.0.1:9", tmp_path), "keys")
