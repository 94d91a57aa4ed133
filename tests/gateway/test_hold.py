"""Requests for what no engine holds at the moment: they wait, in order and within bounds; none is lost or run twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.reconcile.virtual_time import run_virtual
from tunefleet.gateway.hold import RELEASE, Hold, HoldLimits, in_turns
from tunefleet.gateway.series import Counters
from tunefleet.gateway.settings import Settings
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Route, RouteTable, Target

from .harness import ASK, ENGINE_NAME, MODEL, Call, Client, Engine, Gateway, engine, gateway, post, table

HOLD = Settings(hold=HoldLimits(seconds=30))


async def until_held(front: Gateway, count: int) -> None:
    """So many requests wait."""
    async with asyncio.timeout(10):
        while front.state.hold.requests != count:  # noqa: ASYNC110 - what the gateway has read is its own affair
            await asyncio.sleep(0.001)


@asynccontextmanager
async def asking(front: Gateway, count: int, ask: object = None) -> AsyncIterator[list[Client]]:
    """Clients with one request each, in this order, all of which wait."""
    clients = []
    try:
        for number in range(count):
            clients.append(await front.client())
            await clients[-1].send(post({**ASK, "seed": number}))
            await until_held(front, number + 1)
        yield clients
    finally:
        for client in clients:
            client.writer.close()


async def test_who_waits_is_sent_as_soon_as_an_engine_can_answer() -> None:
    async with engine() as upstream, gateway(settings=HOLD) as front, asking(front, 3) as clients:
        assert front.metric("held_requests") == 3
        front.state.swap(table(upstream))
        for client in clients:
            assert (await client.response()).headers["x-tunefleet-model"] == ENGINE_NAME
        assert sorted(received.json["seed"] for received in upstream.received) == [0, 1, 2]
        assert front.metric("held_requests") == 0
        assert front.metric("held_total", outcome="sent") == 3
        assert front.metric("held_seconds_count") == 3
        await clients[0].send(post(ASK))
        assert (await clients[0].response()).status == 200  # the connection lives on


async def test_the_time_to_the_first_token_begins_with_the_engine_and_not_with_the_wait() -> None:
    async def script(call: Call) -> None:
        await call.stream(b"1")

    async with engine(script) as upstream, gateway(settings=HOLD) as front, asking(front, 1) as (client,):
        (request,) = front.state.hold._queues[MODEL]
        request.record.started -= 1000  # type: ignore[attr-defined]
        front.state.swap(table(upstream))
        await client.response()
        assert front.metric("gen_ai_server_time_to_first_token_seconds_count") == 1
        assert front.metric("gen_ai_server_time_to_first_token_seconds_sum") < 100


async def test_when_time_is_up_the_client_is_told_when_to_come_back() -> None:
    async with gateway(settings=HOLD) as front, asking(front, 1) as (client,):
        front.later(29)
        assert front.state.hold.requests == 1
        front.later(31)
        response = await client.response()
        assert (response.status, response.code, response.headers["retry-after"]) == (503, "model_not_available", "5")
        assert front.metric("held_total", outcome="expired") == 1
        assert front.state.hold.requests == 0
        await client.send(post(ASK))
        await until_held(front, 1)


async def test_a_client_that_leaves_leaves_the_queue() -> None:
    async with engine() as upstream, gateway(settings=HOLD) as front, asking(front, 3) as clients:
        clients[1].writer.close()
        await until_held(front, 2)
        assert front.metric("held_total", outcome="left") == 1
        front.state.swap(table(upstream))
        for client in (clients[0], clients[2]):
            assert (await client.response()).status == 200
        assert sorted(received.json["seed"] for received in upstream.received) == [0, 2]


@pytest.mark.parametrize(
    "limits",
    [HoldLimits(requests=2), HoldLimits(per_model=2), HoldLimits(bytes=200)],
)
async def test_past_the_bound_the_answer_comes_at_once(limits: HoldLimits) -> None:
    async with (
        gateway(settings=Settings(hold=limits)) as front,
        asking(front, 2) as (first, _),
        await front.client() as third,
    ):
        await third.send(post(ASK))
        response = await third.response()
        assert (response.status, response.code, response.headers["retry-after"]) == (503, "too_many_waiting", "5")
        assert response.json["error"]["type"] == "server_error"
        assert front.metric("held_total", outcome="refused") == 1
        first.writer.close()
        await until_held(front, 1)
        await third.send(post(ASK))
        await until_held(front, 2)  # who leaves makes room


async def test_another_model_has_room_of_its_own() -> None:
    settings = Settings(hold=HoldLimits(per_model=1))
    async with (
        gateway(settings=settings, other=Route("other")) as front,
        asking(front, 1),
        await front.client() as client,
    ):
        await client.send(post({**ASK, "model": "other"}))
        await until_held(front, 2)
        assert front.state.hold.waiting() == {MODEL: 1, "other": 1}


async def test_nobody_waits_for_what_will_not_come() -> None:
    async with gateway(settings=HOLD, refused=Route("refused", awaited=False)) as front, await front.client() as client:
        await client.send(post({**ASK, "model": "refused"}))
        assert (await client.response()).code == "model_not_available"


async def test_a_pod_that_was_just_killed_loses_no_request_that_had_not_begun() -> None:
    """Its table still names it. Nothing was sent to it, so another may run the request."""
    killed = Engine(pod="killed", port=1)
    async with engine(pod="new") as new, gateway(killed, settings=HOLD) as front, asking(front, 5) as clients:
        assert front.metric("requests_in_flight", model=MODEL, version="v4") == 0
        front.state.swap(table(killed))  # news of others
        front.state.swap(table())
        front.state.swap(table(new))
        for client in clients:
            assert (await client.response()).status == 200
        assert sorted(received.json["seed"] for received in new.received) == [0, 1, 2, 3, 4]
        assert front.metric("requests_total", model=MODEL, version="v4", code="2xx") == 5
        assert front.metric("retries_total") == 0


async def test_a_killed_pod_whose_time_is_up_is_called_unreachable() -> None:
    async with gateway(Engine(port=1), settings=HOLD) as front, asking(front, 1) as (client,):
        front.later(31)
        response = await client.response()
        assert (response.status, response.code, response.headers["retry-after"]) == (503, "engine_unreachable", "1")


async def test_a_pod_that_comes_back_under_its_address_is_found_by_its_agents_report() -> None:
    async with engine() as upstream:
        away = replace(upstream, port=1)
        async with gateway(away, settings=HOLD) as front, asking(front, 3) as clients:
            pod = front.state.balancer.pod(upstream.backend.pod)
            assert pod is not None
            pod.port = upstream.port
            front.state.swap(table(upstream))
            for _ in range(5):
                await asyncio.sleep(0)  # a pass over the queue was asked for, and finds no living pod
            assert (front.state.hold.requests, upstream.received) == (3, [])
            front.state.alive(upstream.backend.pod)
            for client in clients:
                assert (await client.response()).status == 200


async def test_a_pod_that_comes_back_without_a_word_is_found_by_one_request_that_tries() -> None:
    async with engine() as upstream:
        away = replace(upstream, port=1)
        async with gateway(away, settings=HOLD) as front, asking(front, 3) as clients:
            front.state.sweep()  # the first one tries, in vain
            await until_held(front, 3)
            front.state.swap(table(upstream))
            front.state.sweep()
            for client in clients:
                assert (await client.response()).status == 200


async def test_what_may_have_run_is_not_held() -> None:
    async def script(call: Call) -> None:
        call.reset()

    async with engine(script) as upstream, gateway(upstream, settings=HOLD) as front, await front.client() as client:
        await client.send(post(ASK))
        assert (await client.response()).code == "engine_failed"


async def test_the_operator_is_told_at_once_of_an_adapter_that_somebody_waits_for() -> None:
    asleep = Route("asleep", (), Key("ns", "sleeper"))
    async with gateway(settings=HOLD, asleep=asleep) as front, await front.client() as client:
        demand = front.state.demand
        poll = asyncio.create_task(demand.next_report(demand.report().etag))
        await asyncio.sleep(0)
        await client.send(post({**ASK, "model": "asleep"}))
        (seen,) = (await asyncio.wait_for(poll, 5)).adapters
        assert (seen.namespace, seen.name, seen.waiting, seen.in_flight) == ("ns", "sleeper", 1, 0)


@dataclass(eq=False)
class Waiter:
    """A request that goes to a pod as soon as it may."""

    served_name: str = MODEL
    size: int = 1
    tenant: str = "anyone"
    hold: Hold | None = None
    gave_way: bool = False
    times: list[float] = field(default_factory=list)

    def give_way(self) -> None:
        assert self.hold is not None
        self.gave_way = True
        self.hold.leave(self, "refused")

    def comfort(self) -> None:
        raise AssertionError("not asked for")

    def try_again(self, table: RouteTable, avoid: Collection[Key], *, alive: bool) -> Key | None:
        pod = Key("ns", "engine-0")
        if pod in avoid or not alive or self.hold is None or self.served_name not in table.routes:
            return None
        self.hold.leave(self, "sent")
        self.times.append(asyncio.get_running_loop().time())
        return pod


def test_a_pod_gets_them_by_and_by() -> None:
    async def main() -> list[float]:
        hold = Hold(HoldLimits(), asyncio.get_running_loop().time, Counters())
        waiters = [Waiter(hold=hold) for _ in range(2 * RELEASE + 1)]
        for waiter in waiters:
            assert hold.join(waiter) == 30
        hold.follow(RouteTable({MODEL: Route(MODEL, (Target(ENGINE_NAME, 100, ()),))}))
        await asyncio.sleep(1)
        return [time for waiter in waiters for time in waiter.times]

    times = run_virtual(main())
    assert len(times) == 2 * RELEASE + 1
    assert times == sorted(times)
    assert [times.count(time) for time in sorted(set(times))] == [RELEASE, RELEASE, 1]


def test_who_comes_back_goes_to_the_head_and_keeps_the_deadline() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        hold = Hold(HoldLimits(requests=2), loop.time, Counters())
        first, second = Waiter(hold=hold), Waiter(hold=hold)
        assert (hold.join(first), hold.join(second)) == (30, 30)
        hold.leave(first, "sent")
        await asyncio.sleep(10)
        assert hold.join(Waiter()) == 40
        assert hold.join(first, since=0) == 30  # there was room for it before
        assert list(hold._queues[MODEL])[:2] == [first, second]
        hold.leave(first, "sent")
        await asyncio.sleep(20)
        assert hold.join(first, since=0) is None

    run_virtual(main())


def waiters(hold: Hold, tenants: str) -> list[Waiter]:
    made = [Waiter(tenant=tenant, hold=hold) for tenant in tenants]
    for waiter in made:
        hold.join(waiter)
    return made


def test_tenants_take_turns() -> None:
    made = [Waiter(tenant=tenant, size=size) for size, tenant in enumerate("aaabbc")]
    assert [(each.tenant, each.size) for each in in_turns(made)] == [
        ("a", 0), ("b", 3), ("c", 5), ("a", 1), ("b", 4), ("a", 2),
    ]  # fmt: skip


def test_who_has_the_most_makes_room_in_a_full_queue() -> None:
    async def main() -> None:
        hold = Hold(HoldLimits(requests=4), asyncio.get_running_loop().time, Counters())
        made = waiters(hold, "aaab")
        assert hold.join(Waiter(tenant="a")) is None  # its own turn comes no sooner
        second = Waiter(tenant="b", hold=hold)
        assert hold.join(second) == 30
        assert [each.gave_way for each in made] == [False, False, True, False]
        assert hold.join(Waiter(tenant="b")) is None  # both have as many now
        assert hold.join(Waiter(tenant="c")) == 30
        assert hold.requests == 4

    run_virtual(main())


def streams(seconds: float = 5) -> Settings:
    return Settings(hold=HoldLimits(comment_seconds=seconds))


async def test_a_stream_that_waits_is_told_so_and_becomes_the_engines() -> None:
    async def script(call: Call) -> None:
        await call.stream(b"1", b"[DONE]")

    async with engine(script) as upstream, gateway(settings=streams()) as front, await front.client() as client:
        await client.send(post({**ASK, "stream": True}) + post(ASK))
        await until_held(front, 1)
        pass_time(front, 6)
        head = await client.head()
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        chunks = client.chunks()
        assert await anext(chunks) == b": waiting for an engine\n\n"
        pass_time(front, 12)
        assert await anext(chunks) == b": waiting for an engine\n\n"
        front.state.swap(table(upstream))
        assert b"".join([chunk async for chunk in chunks]) == b"data: 1\n\ndata: [DONE]\n\n"
        assert (await client.response()).headers["content-type"] == "text/event-stream"  # the connection lives on


async def test_an_error_after_that_is_an_event() -> None:
    async def script(call: Call) -> None:
        await call.answer(b'{"error": {"message":\n"no"}}', b"400 Bad Request")

    async with engine(script) as upstream, gateway(settings=streams()) as front, await front.client() as client:
        await client.send(post({**ASK, "stream": True}))
        await until_held(front, 1)
        pass_time(front, 6)
        front.state.swap(table(upstream))
        assert (await client.response()).body == (
            b': waiting for an engine\n\nevent: error\ndata: {"error": {"message": "no"}}\n\n'
        )
        front.state.swap(table())
        await client.send(post({**ASK, "stream": True}))
        await until_held(front, 1)
        pass_time(front, 12)
        front.later(60)
        comment, event = (await client.response()).body.split(b"\n\n", 1)
        assert comment == b": waiting for an engine"
        assert json.loads(event.partition(b"data: ")[2])["error"]["code"] == "model_not_available"


async def test_a_stream_that_breaks_after_that_ends_with_an_event_and_uncleanly() -> None:
    async def script(call: Call) -> None:
        await call.stream(b"1", finish=False)
        call.writer.close()

    async with engine(script) as upstream, gateway(settings=streams()) as front, await front.client() as client:
        await client.send(post({**ASK, "stream": True}))
        await until_held(front, 1)
        pass_time(front, 6)
        front.state.swap(table(upstream))
        body = (await client.rest()).partition(b"\r\n\r\n")[2]
        assert b"data: 1\n\n" in body
        assert b'"code": "stream_broken"' in body
        assert not body.endswith(b"0\r\n\r\n")


async def test_what_is_no_stream_waits_in_silence() -> None:
    async with gateway(settings=streams()) as front, asking(front, 1) as (client,):
        pass_time(front, 6)
        front.later(31)
        assert (await client.response()).status == 503


def pass_time(front: Gateway, seconds: float) -> None:
    """So many seconds since the start, as far as comments go."""
    front.state.hold._comforted -= seconds
    front.state.hold.comfort()
