"""Keys at the public port: who is let in, what exists for them, and how much of it."""

import asyncio
import re
from collections.abc import Mapping

import pytest

from tunefleet.api.api_key import read_policy
from tunefleet.gateway.access import Access, Tenant
from tunefleet.plan.keys import KeyHash, make_key
from tunefleet.plan.route_table import Route, Target

from .harness import ASK, CHAT, ENGINE_NAME, MODEL, Call, Engine, Gateway, engine, gateway, get, post

KEY, OTHER = make_key(bytes(32)), make_key(bytes([1] * 32))
BEARER = f"Authorization: Bearer {KEY}".encode()
X_API_KEY = f"x-api-key: {KEY}".encode()


def tenant(policy: str = "", name: str = "team-a") -> Tenant:
    made = Tenant(name)
    made.follow(read_policy(policy), 0.0)
    return made


def lock(opened: Gateway, keys: Mapping[str, Tenant]) -> Access:
    """From now on just these keys are valid."""
    access = opened.state.access = Access(keys=True)
    access.replace({bytes.fromhex(KeyHash.of(key).digest): one for key, one in keys.items()})
    return access


@pytest.mark.parametrize(
    "request_",
    [post(ASK), post(ASK, b"Authorization: Bearer tf_wrong"), get("/v1/models"), get(f"/v1/models/{MODEL}"), get("/x")],
)
async def test_without_a_key_nothing_is_answered(request_: bytes) -> None:
    async with engine() as upstream, gateway(upstream) as locked:
        lock(locked, {KEY: tenant()})
        async with await locked.client() as client:
            await client.send(request_)
            response = await client.response()
            assert (response.status, response.code) == (401, "invalid_api_key")
            assert response.headers["www-authenticate"] == "bearer"
            await client.send(post(ASK, BEARER))
            assert (await client.response()).status == 200
    assert len(upstream.received) == 1


async def test_without_a_key_no_body_is_waited_for() -> None:
    whole = post(ASK)
    async with gateway() as locked:
        lock(locked, {KEY: tenant()})
        answered = await locked.once(whole[:-1])
        assert answered.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nconnection: close\r\n" in answered
        expecting = post(ASK, b"Expect: 100-continue").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert (await locked.once(expecting)).startswith(b"HTTP/1.1 401 ")


async def test_load_balancers_need_no_key() -> None:
    async with gateway() as locked, await locked.client() as client:
        lock(locked, {})
        await client.send(get("/healthz"))
        assert (await client.response()).status == 200


@pytest.mark.parametrize("line", [BEARER, X_API_KEY])
async def test_a_key_ends_at_the_gateway(line: bytes) -> None:
    async with engine() as upstream, gateway(upstream) as locked, await locked.client() as client:
        lock(locked, {KEY: tenant()})
        await client.send(post(ASK, line))
        assert (await client.response()).status == 200
    assert KEY.encode() not in upstream.received[0].head
    assert upstream.received[0].lines.count(upstream.authorization) == 1


async def _answers(locked: Gateway, *requests: bytes) -> list[str]:
    """Without what differs in every answer."""
    seen = []
    for request in requests:
        raw = (await locked.once(request)).decode()
        seen.append(re.sub(r"x-request-id: \S+", "", raw))
    return seen


async def test_a_forbidden_model_looks_like_one_that_does_not_exist() -> None:
    """Byte for byte; the names are equally long."""
    async with engine() as upstream, gateway(upstream) as locked:
        lock(locked, {KEY: tenant("models: [{names: [sales-*]}]")})
        close = b"Connection: close"
        forbidden, unknown = await _answers(
            locked, post({"model": MODEL}, BEARER, close), post({"model": "support-xx"}, BEARER, close)
        )
        assert forbidden == unknown.replace("support-xx", MODEL)
        assert "404 Not Found" in forbidden
        forbidden, unknown = await _answers(
            locked, get(f"/v1/models/{MODEL}", BEARER, close), get("/v1/models/support-xx", BEARER, close)
        )
        assert forbidden == unknown.replace("support-xx", MODEL)
        (exact,) = await _answers(locked, post({"model": ENGINE_NAME}, BEARER, close))
        assert "404 Not Found" in exact
    assert upstream.received == []


async def test_models_are_listed_for_whom_they_exist() -> None:
    async with engine() as upstream, gateway(upstream) as locked, await locked.client() as client:
        lock(locked, {KEY: tenant("models: [{names: [sales]}]"), OTHER: tenant(name="team-b")})

        async def listed(key: str) -> list[str]:
            await client.send(get("/v1/models", f"Authorization: Bearer {key}".encode()))
            return [model["id"] for model in (await client.response()).json["data"]]

        assert await listed(KEY) == []
        assert await listed(OTHER) == [MODEL]


async def test_a_model_that_may_not_be_seen_is_not_woken() -> None:
    asleep = Route("asleep", (Target("asleep@v1-00000000", 100, ()),))
    async with gateway(asleep=asleep) as locked, await locked.client() as client:
        lock(locked, {KEY: tenant("models: []")})
        await client.send(post({"model": "asleep"}, BEARER))
        assert (await client.response()).code == "model_not_found"
        assert locked.state.hold.requests == 0


async def test_limits_are_told_and_kept() -> None:
    async with engine() as upstream, gateway(upstream) as locked, await locked.client() as client:
        lock(locked, {KEY: tenant("requestsPerMinute: 2")})
        for left in ("1", "0"):
            await client.send(post(ASK, BEARER))
            response = await client.response()
            assert response.status == 200
            assert response.headers["x-ratelimit-limit-requests"] == "2"
            assert response.headers["x-ratelimit-remaining-requests"] == left
        await client.send(post(ASK, BEARER))
        response = await client.response()
        assert (response.status, response.code) == (429, "rate_limit_exceeded")
        assert 1 <= int(response.headers["retry-after"]) <= 30
        assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(upstream.received) == 2


async def test_tokens_are_paid_as_the_engine_counts_them() -> None:
    async def script(call: Call) -> None:
        await call.answer(b'{"usage": {"prompt_tokens": 30, "completion_tokens": 40}}', b"200 OK")

    async with engine(script) as upstream, gateway(upstream) as locked, await locked.client() as client:
        team = tenant("tokensPerMinute: 1000")
        lock(locked, {KEY: team})
        await client.send(post(ASK, BEARER))
        await client.response()
        assert team.limits.spent_tokens == 70


async def test_refusals_and_clients_that_leave_take_no_place() -> None:
    begun = asyncio.Event()

    async def script(call: Call) -> None:
        begun.set()
        await call.gone()

    async with engine(script) as upstream, gateway(upstream) as locked:
        team = tenant("maxConcurrentRequests: 1")
        lock(locked, {KEY: team})
        async with await locked.client() as first:
            await first.send(post(ASK, BEARER))
            await begun.wait()
            async with await locked.client() as second:
                await second.send(post(ASK, BEARER))
                response = await second.response()
                assert (response.status, response.headers["retry-after"]) == (429, "1")
                await second.send(post({"model": "nobody"}, BEARER))
                assert (await second.response()).status == 404
            assert team.limits.running == 1
        upstream.script = _ok
        async with asyncio.timeout(5), await locked.client() as third:
            while team.limits.running:  # noqa: ASYNC110 - the end of a connection is nobody's event here
                await asyncio.sleep(0.001)
            await third.send(post(ASK, BEARER))
            assert (await third.response()).status == 200
    assert team.limits.running == 0


async def _ok(call: Call) -> None:
    await call.answer()


async def test_a_revoked_key_ends_on_open_connections_and_requests_on_their_way_go_on() -> None:
    proceed = asyncio.Event()

    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        await proceed.wait()
        await call.send(b"0\r\n\r\n")

    async with engine(script) as upstream, gateway(upstream) as locked, await locked.client() as client:
        team = tenant()
        access = lock(locked, {KEY: team})
        await client.send(post(ASK, BEARER))
        response = await client.head()
        assert response.status == 200
        access.replace({})
        proceed.set()
        assert [chunk async for chunk in client.chunks()] == [b"data: 1\n\n"]
        assert team.limits.running == 0
        await client.send(post(ASK, BEARER))
        assert (await client.response()).status == 401
        access.replace({bytes.fromhex(KeyHash.of(KEY).digest): team})
        await client.send(post(ASK, BEARER))
        assert (await client.response()).status == 200


async def test_the_same_head_with_another_key_is_another_tenant() -> None:
    async with engine() as upstream, gateway(upstream) as locked, await locked.client() as client:
        one, other = tenant("requestsPerMinute: 9"), tenant("requestsPerMinute: 9", "team-b")
        lock(locked, {KEY: one, OTHER: other})
        for key in (KEY, OTHER, KEY):
            await client.send(post(ASK, f"Authorization: Bearer {key}".encode(), path=CHAT))
            assert (await client.response()).status == 200
        assert (one.limits.spent_requests, other.limits.spent_requests) == (2, 1)
    assert isinstance(upstream, Engine)
