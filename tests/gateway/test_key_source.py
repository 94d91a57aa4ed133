"""Keys are reloaded while requests run, and what cannot be read gives nobody access."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tunefleet.gateway.access import Access, Tenant
from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.key_source import KeySource
from tunefleet.kube.client import Client
from tunefleet.kube.credentials import Server
from tunefleet.plan.keys import KeyHash, make_key

from .fake_api import FakeApi, api_server

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE, TWO = make_key(bytes(32)), make_key(bytes([1] * 32))


def secret(name: str, *keys: KeyHash, policy: Any = None, **meta: str) -> dict[str, Any]:
    data = {"hashes": "\n".join(key.line() for key in keys)} | ({"policy": json.dumps(policy)} if policy else {})
    return {
        "metadata": {"name": name, "namespace": "keys", **meta},
        "type": "tunefleet.io/api-key",
        "data": {entry: b64encode(text.encode()).decode() for entry, text in data.items()},
    }


@dataclass
class Reloading:
    """A source that runs, and the time that it sees."""

    api: FakeApi
    access: Access
    source: KeySource
    now: datetime = NOW

    def tenant(self, key: str) -> Tenant | None:
        try:
            return self.access.tenant_of(b"Bearer " + key.encode())
        except Refusal:
            return None

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - the API server stands for another process
                await asyncio.sleep(0.001)


@asynccontextmanager
async def reloading(*secrets: dict[str, Any]) -> AsyncIterator[Reloading]:
    async with api_server("keys") as (api, client):
        for one in secrets:
            api.put("Secret", one)
        access = Access(keys=True)
        source = KeySource(client, access, "keys", asyncio.get_running_loop().time, lambda: now.now)
        now = Reloading(api, access, source)
        running = asyncio.create_task(source.run())
        await asyncio.wait_for(source.complete.wait(), 10)
        yield now
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_keys_work_from_the_first_moment_and_nothing_else_is_read() -> None:
    async with reloading(secret("team-a", KeyHash.of(ONE))) as now:
        found = now.tenant(ONE)
        assert found is not None
        assert found.name == "team-a"
        assert now.tenant(TWO) is None
        assert now.api.paths == {"/api/v1/namespaces/keys/secrets"}
        assert now.api.field_selectors == {"type=tunefleet.io/api-key"}


async def test_without_any_secret_nobody_may_call() -> None:
    async with reloading() as now:
        assert (now.tenant(ONE), now.access.key_count) == (None, 0)


async def test_a_tenant_stays_the_same_while_its_keys_and_its_policy_change() -> None:
    async with reloading(secret("team-a", KeyHash.of(ONE), policy={"requestsPerMinute": 2})) as now:
        team = now.tenant(ONE)
        assert team is not None
        team.begin(0.0, 0)
        now.api.put("Secret", secret("team-a", KeyHash.of(TWO), KeyHash.of(ONE), policy={"requestsPerMinute": 4}))
        await now.until(lambda: now.tenant(TWO))
        assert now.tenant(TWO) is now.tenant(ONE) is team
        assert team.limits.requests is not None
        assert (team.limits.requests.capacity, team.limits.running) == (4, 1)
        assert team.limits.requests.left(0.0) < 3
        now.api.put("Secret", secret("team-a", KeyHash.of(TWO)))
        await now.until(lambda: now.tenant(ONE) is None)
        assert now.tenant(TWO) is team
        assert team.free
        now.api.delete("Secret", "team-a")
        await now.until(lambda: now.tenant(TWO) is None)


async def test_a_bad_secret_gives_nobody_access_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    async with reloading(secret("good", KeyHash.of(ONE)), secret("bad", KeyHash.of(TWO), policy={"limit": 5})) as now:
        assert now.tenant(ONE)
        assert now.tenant(TWO) is None
        assert now.source.unreadable == 1
        (told,) = [line for line in caplog.messages if "keys/bad" in line]
        assert told.endswith("its keys do not work until it is mended: policy.limit: Extra inputs are not permitted")
        now.api.put("Secret", secret("bad", KeyHash.of(TWO)))
        await now.until(lambda: now.tenant(TWO))
        assert now.source.unreadable == 0


async def test_a_secret_that_turns_bad_or_is_being_deleted_ends_its_keys() -> None:
    async with reloading(secret("team-a", KeyHash.of(ONE)), secret("team-b", KeyHash.of(TWO))) as now:
        now.api.put("Secret", secret("team-a", KeyHash("short")))
        now.api.put("Secret", secret("team-b", KeyHash.of(TWO), deletionTimestamp="2026-11-21T12:00:00Z"))
        await now.until(lambda: now.access.key_count == 0)


async def test_a_key_ends_when_its_time_has_come(caplog: pytest.LogCaptureFixture) -> None:
    ends = NOW + timedelta(seconds=0.02)
    keys = (KeyHash.of(ONE), KeyHash(KeyHash.of(TWO).digest, NOW + timedelta(days=1)))
    policy = {"expires": ends.isoformat()}
    async with reloading(secret("team-a", keys[0], policy=policy), secret("team-b", keys[1])) as now:
        assert now.tenant(ONE)
        before = now.access.generation
        now.now = ends
        await now.until(lambda: now.tenant(ONE) is None)
        assert now.tenant(TWO)
        assert now.access.generation > before


async def test_while_the_api_server_is_away_the_last_keys_stay() -> None:
    api, access = FakeApi(), Access(keys=True)
    api.put("Secret", secret("team-a", KeyHash.of(ONE)))
    server = TestServer(api.app("keys"), host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.1)  # a watch has no end that it could wait for
    async with Client(Server(f"http://127.0.0.1:{server.port}")) as client:
        source = KeySource(client, access, "keys", asyncio.get_running_loop().time, lambda: NOW)
        running = asyncio.create_task(source.run())
        await asyncio.wait_for(source.complete.wait(), 10)
        await server.close()
        assert access.tenant_of(b"Bearer " + ONE.encode()).name == "team-a"
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_key_of_two_tenants_works_for_none(caplog: pytest.LogCaptureFixture) -> None:
    async with reloading(secret("team-a", KeyHash.of(ONE)), secret("team-b", KeyHash.of(ONE))) as now:
        assert now.tenant(ONE) is None
        assert any("is of several Secrets (team-a, team-b)" in line for line in caplog.messages)
        now.api.delete("Secret", "team-b")
        await now.until(lambda: now.tenant(ONE))
