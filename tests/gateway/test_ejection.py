"""Through a whole gateway: like prompts meet one engine, and engines that do badly are left out for a while."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.gateway.harness import MODEL, Call, Client, Engine, Gateway, engine, gateway, post, table
from tunefleet.gateway.health import FAILURES


def ask(number: int, prompt: str = "Hello") -> bytes:
    """Requests that begin alike and are different."""
    return post({"seed": number, "model": MODEL, "messages": [{"role": "user", "content": prompt}]})


def prompt(number: int) -> str:
    return f"{number} " * 600


async def status(client: Client, request: bytes) -> int:
    await client.send(request)
    return (await client.response()).status


@asynccontextmanager
async def two(*answers: bytes) -> AsyncIterator[tuple[Gateway, Client, list[Engine]]]:
    """A gateway with two engines. The first is the one that `Hello` goes to, and answers so unless the seed is 0."""
    said = list(answers)

    async def script(call: Call) -> None:
        await (call.answer(b"{}", *said) if call.request.json.get("seed", 0) else call.answer())

    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(engine(pod=name)) for name in ("a", "b")]
        front = await stack.enter_async_context(gateway(*engines))
        client = await stack.enter_async_context(await front.client())
        assert await status(client, ask(0)) == 200
        engines.sort(key=lambda one: not one.received)
        engines[0].script = script
        for one in engines:
            one.received.clear()
        yield front, client, engines


def received(engines: list[Engine]) -> list[int]:
    return [len(one.received) for one in engines]


def why(front: Gateway, one: Engine) -> str:
    pod = front.state.balancer.pod(one.backend.pod)
    assert pod is not None
    return pod.health.why


async def test_prompts_that_begin_alike_meet_one_engine() -> None:
    async with two(b"200 OK") as (_, client, engines):
        for number in range(12):
            assert await status(client, ask(0, prompt(0) + str(number))) == 200
        assert sorted(received(engines)) == [0, 12]
        for number in range(40):
            assert await status(client, ask(0, prompt(number))) == 200
        assert min(received(engines)) > 5


@pytest.mark.parametrize("answer", [b"500 Internal Server Error", b"502 Bad Gateway", b"503 Service Unavailable"])
async def test_different_requests_with_bad_answers(answer: bytes) -> None:
    async with two(answer) as (front, client, engines):
        for number in range(1, FAILURES + 1):
            assert await status(client, ask(number)) == int(answer[:3])  # as the engine said it, and not sent again
        assert (received(engines), why(front, engines[0])) == ([FAILURES, 0], "failed")
        assert await status(client, ask(99)) == 200
        assert received(engines) == [FAILURES, 1]
        assert front.state.balancer.lane(front.state.table.routes[MODEL].targets[0]).pods[0].in_flight == 0


@pytest.mark.parametrize("answer", [b"500 Internal Server Error", b"501 Not Implemented", b"400 Bad Request"])
async def test_a_poison_request_ejects_nobody_however_often_it_comes(answer: bytes) -> None:
    async with two(answer) as (front, client, engines):
        for _ in range(3 * FAILURES):
            assert await status(client, ask(1)) == int(answer[:3])
        assert (received(engines), why(front, engines[0])) == ([3 * FAILURES, 0], "")


@pytest.mark.parametrize("answer", [b"501 Not Implemented", b"400 Bad Request"])
async def test_answers_that_tell_of_the_request(answer: bytes) -> None:
    async with two(answer) as (front, client, engines):
        for number in range(1, 3 * FAILURES):
            assert await status(client, ask(number)) == int(answer[:3])
        assert why(front, engines[0]) == ""


async def test_a_pod_that_asks_for_a_pause_gets_it() -> None:
    async with two(b"503 Service Unavailable", b"Retry-After: 20") as (front, client, engines):
        await client.send(ask(1))
        response = await client.response()
        assert (response.status, response.headers["retry-after"]) == (503, "20")
        for number in range(2, 6):
            assert await status(client, ask(number)) == 200
        assert (received(engines), why(front, engines[0])) == ([1, 4], "busy")


async def test_bad_answers_of_all_are_better_than_none() -> None:
    async with two(b"500 Internal Server Error") as (front, client, engines):
        engines[1].script = engines[0].script
        for number in range(1, 5 * FAILURES):
            assert await status(client, ask(number)) == 500
        assert [why(front, one) for one in engines] == ["failed", "failed"]
        assert await status(client, ask(0)) == 200
        assert "" in [why(front, one) for one in engines]


async def test_a_pod_that_takes_no_connection_is_asked_once() -> None:
    async with two(b"200 OK") as (front, client, engines):
        dead = replace(engines[0], port=1)
        front.state.swap(table(dead, engines[1]))
        for number in range(5):
            assert await status(client, ask(number)) == 200
        assert (received(engines), why(front, dead)) == ([0, 5], "refused")
        assert front.state.telemetry.counters.ejections == {"refused": 1}


async def test_the_answer_says_the_region() -> None:
    async with engine() as upstream:
        here = replace(upstream.backend, region="eu-central-1")
        at = table(upstream)
        route = at.routes[MODEL]
        target = replace(route.targets[0], backends=(here,))
        routes: dict[str, Any] = {MODEL: replace(route, targets=(target,))}
        async with gateway() as front, await front.client() as client:
            front.state.swap(replace(at, routes=routes, backends=(here,)))
            await client.send(ask(0))
            assert (await client.response()).headers["x-tunefleet-region"] == "eu-central-1"
