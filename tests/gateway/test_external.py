"""Keys of external upstreams: read, renewed, distrusted; and connections that are verified."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.gateway.external import (
    AUTHORITY,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    Externals,
    KeyProblemError,
    secret_reader,
)
from tunefleet.kube.client import Client
from tunefleet.kube.credentials import Server
from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import External

Json = dict[str, Any]

SECRET = Key("ns", "provider")
EXTERNAL = External("https://models.example.com/v1", "org/model", SECRET, "apiKey")


@dataclass
class Vault:
    """Secrets, and what happens when one is read."""

    values: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    reads: int = 0
    read_again: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, key: Key) -> dict[str, str]:
        assert key == SECRET
        self.reads += 1
        self.read_again.set()
        if self.error is not None:
            raise self.error
        return self.values

    async def next_read(self) -> None:
        self.read_again.clear()
        await self.read_again.wait()


@dataclass
class Scene:
    externals: Externals
    vault: Vault
    changes: asyncio.Queue[None]

    @property
    def problem(self) -> str:
        upstream = self.externals.upstream(EXTERNAL)
        assert upstream is not None
        return upstream.problem

    @property
    def authorization(self) -> bytes:
        upstream = self.externals.upstream(EXTERNAL)
        assert upstream is not None
        return upstream.pod.authorization


@asynccontextmanager
async def running(vault: Vault) -> AsyncIterator[Scene]:
    changes: asyncio.Queue[None] = asyncio.Queue()
    externals = Externals(asyncio.get_running_loop().time, {}, lambda: changes.put_nowait(None))
    task = asyncio.create_task(externals.run(vault.read))
    try:
        yield Scene(externals, vault, changes)
    finally:
        task.cancel()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunefleet.gateway.external.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("tunefleet.gateway.external.REFRESH_SECONDS", 0.01)


async def test_a_key_is_read_when_a_table_names_it() -> None:
    async with running(Vault({"apiKey": " abc\n"})) as scene:
        scene.externals.follow([EXTERNAL])
        assert scene.problem == "its API key has not been read yet"
        await scene.changes.get()
        assert (scene.problem, scene.authorization) == ("", b"authorization: Bearer abc\r\n")
        assert scene.vault.reads == 1


async def test_without_a_secret_nothing_is_read_or_sent() -> None:
    async with running(Vault(error=AssertionError())) as scene:
        plain = External("http://llama:8080", "tiny")
        scene.externals.follow([plain])
        upstream = scene.externals.upstream(plain)
        assert upstream is not None
        assert (upstream.problem, upstream.pod.authorization, upstream.pod.tls) == ("", b"", None)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "has no value apiKey"),
        ({"apiKey": " "}, "has no value apiKey"),
        ({"apiKey": "a b"}, "is no API key"),
        ({"apiKey": "a\r\nx-evil: 1"}, "is no API key"),
        ({"apiKey": "schlüssel"}, "is no API key"),
        ({"apiKey": "abc", AUTHORITY: "no PEM"}, "is no certificate"),
    ],
)
@pytest.mark.usefixtures("hurried")
async def test_a_secret_that_is_no_good_is_told_and_looked_at_again(values: dict[str, str], why: str) -> None:
    async with running(Vault(values)) as scene:
        scene.externals.follow([EXTERNAL])
        await scene.vault.next_read()
        await scene.vault.next_read()
        assert why in scene.problem
        assert "abc" not in scene.problem
        scene.vault.values = {"apiKey": "good"}
        await scene.changes.get()
        assert (scene.problem, scene.authorization) == ("", b"authorization: Bearer good\r\n")


@pytest.mark.usefixtures("hurried")
async def test_a_rotated_key_is_used() -> None:
    async with running(Vault({"apiKey": "old"})) as scene:
        scene.externals.follow([EXTERNAL])
        await scene.changes.get()
        scene.vault.values = {"apiKey": "new"}
        await scene.changes.get()
        assert scene.authorization == b"authorization: Bearer new\r\n"


@pytest.mark.usefixtures("hurried")
async def test_a_key_survives_an_api_server_that_is_away_but_not_its_secret() -> None:
    async with running(Vault({"apiKey": "abc"})) as scene:
        scene.externals.follow([EXTERNAL])
        await scene.changes.get()
        scene.vault.error = ConnectionRefusedError()
        await scene.vault.next_read()
        await scene.vault.next_read()
        assert scene.problem == ""
        scene.vault.error = KeyProblemError("the Secret is gone")
        await scene.vault.next_read()
        await scene.vault.next_read()
        assert scene.problem == "the Secret is gone"


async def test_an_invalid_key_is_read_anew_at_once() -> None:
    async with running(Vault({"apiKey": "old"})) as scene:
        scene.externals.follow([EXTERNAL])
        await scene.changes.get()
        scene.vault.values = {"apiKey": "new"}
        upstream = scene.externals.upstream(EXTERNAL)
        assert upstream is not None
        scene.externals.distrust(upstream.pod)
        await scene.changes.get()
        assert scene.authorization == b"authorization: Bearer new\r\n"


async def test_an_upstream_stays_as_long_as_a_table_names_it() -> None:
    async with running(Vault({"apiKey": "abc"})) as scene:
        scene.externals.follow([EXTERNAL, EXTERNAL])
        await scene.changes.get()
        first = scene.externals.pods()
        scene.externals.follow([EXTERNAL])
        assert scene.externals.pods() == first
        first[0].in_flight = 1
        scene.externals.follow([])
        assert scene.externals.upstream(EXTERNAL) is None
        assert scene.externals.pods() == first
        first[0].in_flight = 0
        scene.externals.follow([])
        assert scene.externals.pods() == []


def test_looks_are_bounded() -> None:
    """An upstream costs the API server no more than a read a minute, two seconds apart while it cannot be used."""
    assert (REFRESH_SECONDS, RETRY_SECONDS) == (60.0, 2.0)


@asynccontextmanager
async def answering(status: int, body: Json) -> AsyncIterator[Client]:
    """An API server that says this of the Secret, and of nothing else."""

    async def handle(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ns/secrets/provider", handle)
    async with TestServer(app, host="127.0.0.1") as http, Client(Server(f"http://127.0.0.1:{http.port}")) as client:
        yield client


async def test_the_secret_is_read_from_the_api_server() -> None:
    async with answering(200, {"data": {"apiKey": "YWJj", AUTHORITY: "UEVN"}}) as client:
        assert await secret_reader(client)(SECRET) == {"apiKey": "abc", AUTHORITY: "PEM"}
    async with answering(200, {}) as client:
        assert await secret_reader(client)(SECRET) == {}


@pytest.mark.parametrize(
    ("status", "body", "error", "why"),
    [
        (404, {}, KeyProblemError, "does not exist"),
        (403, {}, KeyProblemError, "the operator grants that"),
        (500, {"message": "apiKey is abc"}, OSError, "500"),
        (200, {"data": {"apiKey": "//8="}}, KeyProblemError, "not text"),
        (200, {"data": {"apiKey": "YW"}}, KeyProblemError, "not text"),
    ],
)
async def test_a_secret_that_cannot_be_read(status: int, body: Json, error: type[Exception], why: str) -> None:
    async with answering(status, body) as client:
        with pytest.raises(error, match=why) as caught:
            await secret_reader(client)(SECRET)
    assert "abc" not in str(caught.value)
