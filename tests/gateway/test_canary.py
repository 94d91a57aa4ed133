"""Two versions behind one name: who gets which, and what is counted."""

import asyncio
from collections import Counter
from dataclasses import replace

from tunefleet.gateway.stickiness import POINTS, session_point
from tunefleet.plan.demand import VersionSample
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Route, RouteTable, Target, TrialTerms

from .harness import ASK, Call, Client, Engine, Gateway, Response, engine, gateway, post

OLD, NEW = "canary@v1-00000000", "canary@v2-00000000"


def canary(weight: int, old: Engine, new: Engine) -> RouteTable:
    """The name, and both versions by their exact names."""
    targets = (Target(OLD, 100 - weight, (old.backend,)), Target(NEW, weight, (new.backend,)))
    route = Route("canary", targets, Key("ns", "adapter"), TrialTerms("since", NEW, 10))
    exact = {target.engine_name: Route("canary", (target,), route.adapter) for target in targets}
    return RouteTable({"canary": route, **exact}, (), (route,))


async def ask(client: Client, *lines: bytes, model: str = "canary", **fields: object) -> Response:
    await client.send(post({**ASK, "model": model, **fields}, *lines))
    return await client.response()


def counted(front: Gateway) -> dict[str, VersionSample]:
    (trial,) = front.state.demand.report().trials
    return {version.engine_name: version for version in trial.versions}


async def test_a_session_keeps_its_version_while_the_canary_grows() -> None:
    async with engine() as old, engine(pod="b") as new, gateway() as front, await front.client() as client:
        seen: Counter[bytes] = Counter()
        for weight in (10, 30, 60):
            front.state.swap(canary(weight, old, new))
            for number in range(40):
                session = b"session-%d" % number
                response = await ask(client, b"X-Tunefleet-Session: " + session)
                in_canary = session_point(session, "canary") >= POINTS * (100 - weight) // 100
                assert response.headers["x-tunefleet-model"] == (NEW if in_canary else OLD)
                seen[session] += in_canary
        assert set(seen.values()) == {0, 1, 2, 3}
        assert all(b"session" not in received.head.lower() for received in new.received)


async def test_the_bodys_user_is_a_session_too() -> None:
    async with engine() as old, engine(pod="b") as new, gateway() as front, await front.client() as client:
        front.state.swap(canary(50, old, new))
        by_user = {(await ask(client, user="ann")).headers["x-tunefleet-model"] for _ in range(20)}
        by_header = (await ask(client, b"x-tunefleet-session: ann", user="bob")).headers["x-tunefleet-model"]
        assert by_user == {by_header}


async def test_a_retry_keeps_the_version() -> None:
    dead = Engine(pod="dead", port=1)
    async with engine() as old, engine(pod="b") as new, gateway() as front, await front.client() as client:
        both = canary(99, old, new)
        old_target, new_target = both.routes["canary"].targets
        targets = (old_target, replace(new_target, backends=(dead.backend, new.backend)))
        backends = (old.backend, dead.backend, new.backend)
        route = replace(both.routes["canary"], targets=targets)
        front.state.swap(RouteTable({"canary": route}, backends=backends))
        pod = front.state.balancer.pod(new.backend.pod)
        assert pod is not None
        pod.in_flight += 3  # so that the dead one is tried first
        session = next(s for s in (b"%d" % n for n in range(99)) if session_point(s, "canary") > 100)
        response = await ask(client, b"x-tunefleet-session: " + session)
        assert (response.status, response.headers["x-tunefleet-model"]) == (200, NEW)
        assert front.metric("retries_total") == 1


async def test_what_is_counted_of_a_canary() -> None:
    async def fails(call: Call) -> None:
        await call.answer(b"{}", b"500 Internal Server Error")

    async with engine() as old, engine(fails, "b") as new, gateway() as front, await front.client() as client:
        front.state.swap(canary(50, old, new))
        for number in range(40):
            await ask(client, user=f"user-{number}")
        before = counted(front)
        assert (before[OLD].requests, before[NEW].requests) == (len(old.received), len(new.received))
        assert (before[OLD].errors, before[NEW].errors) == (0, len(new.received))
        await ask(client, model=NEW)
        await ask(client, model=OLD)
        assert counted(front) == before  # they asked for the version, and say nothing about the split
        front.state.swap(canary(60, old, new))
        assert counted(front) == before  # the same step, whatever else changed


async def trial_of(script: object, *, whole: bool = True) -> VersionSample:
    """What is counted of one streamed request, once it is over."""
    async with engine(script, "b") as new, gateway() as front:  # type: ignore[arg-type]
        both = canary(50, new, new).routes["canary"]
        route = replace(both, targets=(replace(both.targets[0], backends=()), both.targets[1]))
        front.state.swap(RouteTable({"canary": route}, (), (route,)))
        async with await front.client() as client:
            await client.send(post({**ASK, "model": "canary", "stream": True}))
            await client.head()
            if whole:
                await client.reader.readuntil(b"0\r\n\r\n")
            else:
                await client.rest()
        return counted(front)[NEW]


async def test_the_first_token_of_streams_goes_into_the_histogram() -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"choices":[]}', b"[DONE]")

    sample = await trial_of(script)
    assert (sample.requests, sample.errors, sum(sample.first_token)) == (1, 0, 1)


async def test_an_error_in_a_stream_is_an_error_though_its_status_is_200() -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"error":{"message":"busy","type":"InternalServerError","code":500}}', b"[DONE]")

    sample = await trial_of(script)
    assert (sample.requests, sample.errors, sum(sample.first_token)) == (1, 1, 0)


async def test_text_that_looks_like_an_error_is_none() -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"choices":[{"text":"data: {\\"error\\": 1}"}]}', b"[DONE]")

    assert (await trial_of(script)).errors == 0


async def test_a_broken_stream_is_an_error() -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"choices":[]}', finish=False)
        call.writer.close()

    sample = await trial_of(script, whole=False)
    assert (sample.requests, sample.errors) == (1, 1)


async def test_a_client_that_leaves_counts_only_once_the_answer_has_begun() -> None:
    gone = asyncio.Event()

    async def silent(call: Call) -> None:
        await call.gone()
        gone.set()

    async def begun(call: Call) -> None:
        await call.stream(b'{"choices":[]}', finish=False)
        await silent(call)

    async with engine(silent) as upstream, gateway() as front:
        front.state.swap(canary(50, upstream, upstream))
        for script, expected in ((silent, 0), (begun, 1)):
            upstream.script = script
            gone.clear()
            async with await front.client() as client:
                await client.send(post({**ASK, "model": "canary", "stream": True}))
                if script is begun:
                    await client.head()
                    await anext(client.chunks())
                else:
                    async with asyncio.timeout(10):
                        while not upstream.received:  # noqa: ASYNC110 - the engine's affair
                            await asyncio.sleep(0.001)
            await asyncio.wait_for(gone.wait(), 10)
            found = counted(front).values()
            assert (sum(v.requests for v in found), sum(v.errors for v in found)) == (expected, 0)
