"""What a process does with keys: it waits for them, counts them, and tells others what was spent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tunefleet.gateway.series import Account
from tunefleet.gateway.settings import Settings
from tunefleet.gateway.shared_limits import USAGE_PATH, UsageReports
from tunefleet.gateway.state import EngineKeys, GatewayState
from tunefleet.gateway.tenancy import KeySettings, Tenancy, access_for
from tunefleet.kube.client import Client
from tunefleet.plan.keys import KeyHash, make_key

from .fake_api import api_server
from .harness import FLEET_KEY
from .test_key_source import secret

KEY = make_key(bytes(32))


@asynccontextmanager
async def tenancy(client: Client, settings: KeySettings | None) -> AsyncIterator[tuple[GatewayState, Tenancy]]:
    state = GatewayState(Settings(), EngineKeys(FLEET_KEY), asyncio.get_running_loop().time, access_for(settings))
    made = Tenancy(client, state, settings, 1)
    running = asyncio.create_task(made.run())
    try:
        await asyncio.wait_for(made.complete(), 10)
        yield state, made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def told(made: Tenancy) -> UsageReports:
    app = web.Application()
    made.serve(app)
    async with TestClient(TestServer(app, host="127.0.0.1")) as admin, admin.get(USAGE_PATH) as answer:
        return UsageReports.read(await answer.json())


async def test_an_open_gateway_reads_no_secrets_and_tells_nothing() -> None:
    async with api_server("keys") as (api, client), tenancy(client, None) as (state, made):
        assert state.access.tenant_of(None).name == "anyone"
        assert await told(made) == UsageReports(processes=())
        assert api.paths == set()


async def test_keys_are_valid_as_soon_as_it_is_complete_and_counted() -> None:
    async with api_server("keys") as (api, client):
        api.put("Secret", secret("team-a", KeyHash.of(KEY), policy={"requestsPerMinute": 5}))
        api.put("Secret", secret("team-b", KeyHash("bad")))
        async with tenancy(client, KeySettings("keys", "keys")) as (state, made):
            team = state.access.tenant_of(b"Bearer " + KEY.encode())
            team.begin(0.0, 0)
            (report,) = (await told(made)).processes
            assert (report.tenants["team-a"].requests, report.tenants["team-a"].running) == (1, 1)
            text = state.metrics.render().decode()
            assert "\ntunefleet_gateway_keys 1" in text
            assert "\ntunefleet_gateway_bad_key_secrets 1" in text


async def test_the_counts_of_tenants_that_are_gone_go() -> None:
    async with api_server("keys") as (api, client):
        api.put("Secret", secret("team-a", KeyHash.of(KEY)))
        async with tenancy(client, KeySettings("keys")) as (state, _):
            state.telemetry.accounts |= {"team-a": Account(), "team-b": Account()}
            api.put("Secret", secret("team-a"))
            async with asyncio.timeout(10):
                while state.access.key_count:  # noqa: ASYNC110 - the API server stands for another process
                    await asyncio.sleep(0.001)
            assert set(state.telemetry.accounts) == {"team-a"}


async def test_without_access_to_the_secrets_it_is_not_complete() -> None:
    async with api_server("another") as (_, client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), tenancy(client, KeySettings("keys")):
                pass
