"""An endpoint's fallback answers in its place: said in the answer, at once, and never for what may have run."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dev.cluster.pki import Authority
from tunefleet.gateway import breaker
from tunefleet.gateway.breaker import FAILURES, HALF_OPEN, OPEN
from tunefleet.gateway.external import AUTHORITY, KeyProblemError
from tunefleet.gateway.hold import HoldLimits
from tunefleet.gateway.settings import Settings
from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import External, Fallback
from tunefleet.plan.route_table import Backend, Route, RouteTable, Target, TrialTerms

from .harness import (
    ASK,
    ENGINE_NAME,
    MODEL,
    Call,
    Engine,
    Gateway,
    Response,
    engine,
    gateway,
    post,
    table,
)

ENDPOINT = Key("ns", "endpoint")
ADAPTER = Key("ns", "adapter")
SECRET = Key("ns", "provider")
BIG = "big@v1-00000001"
HOLD = Settings(hold=HoldLimits(seconds=30))


def outside(upstream: Engine, secret: Key | None = None, scheme: str = "http", region: str = "") -> Fallback:
    """An external upstream's."""
    external = External(f"{scheme}://localhost:{upstream.port}/v1", "org/model", secret, "apiKey", region)
    return Fallback(ENDPOINT, "external/endpoint", external=external)


def of_spare(*engines: Engine) -> Fallback:
    """The base of another endpoint."""
    backends = tuple(replace(e.backend, endpoint="spare", base_engine_name=BIG) for e in engines)
    return Fallback(ENDPOINT, "endpoint/spare", target=Target(BIG, 100, backends))


def lending(fallback: Fallback, *engines: Engine, **more: object) -> RouteTable:
    """MODEL on these engines, with a fallback for its own name."""
    made = table(*engines)
    target = Target(ENGINE_NAME, 100, tuple(e.backend for e in engines))
    route = Route(MODEL, (target,), ADAPTER, fallback=fallback, **more)  # type: ignore[arg-type]
    theirs = fallback.target.backends if fallback.target else ()
    return replace(made, routes={**made.routes, MODEL: route}, backends=(*made.backends, *theirs))


async def fail(call: Call) -> None:
    await call.answer(b'{"error": {"message": "engine died"}}', b"500 Internal Server Error")


async def ask(front: Gateway, *lines: bytes, model: str = MODEL) -> Response:
    async with await front.client() as client:
        await client.send(post({**ASK, "model": model}, *lines))
        return await client.response()


def who(response: Response) -> tuple[str | None, str | None]:
    """What answered, and whether in whose place."""
    return response.headers.get("x-tunefleet-model"), response.headers.get("x-tunefleet-fallback")


OWN = (ENGINE_NAME, None)
OUTSIDE = ("org/model", "external/endpoint")
SPARE = (BIG, "endpoint/spare")


async def test_an_upstream_outside_answers_while_no_engine_can() -> None:
    async with engine() as upstream, gateway(settings=HOLD) as front:
        front.state.swap(lending(outside(upstream, region="eu-west-1")))
        body = b'{"seed": 1.50,  "model":"' + MODEL.encode() + b'", "x": {"model": "inner"}}'
        async with await front.client() as client:
            await client.send(post(body, b"Authorization: Bearer mine", b"X-Other: 1", b"Accept: */*"))
            response = await client.response()
        assert (response.status, who(response)) == (200, OUTSIDE)
        assert response.headers["x-tunefleet-region"] == "eu-west-1"
        assert "x-tunefleet-base" not in response.headers
        sent = upstream.received[0]
        assert sent.body == body.replace(b'"' + MODEL.encode() + b'"', b'"org/model"')
        assert sent.request_line == b"POST /v1/chat/completions HTTP/1.1"
        names = [line.partition(b":")[0] for line in sent.lines]
        assert names == [b"host", b"Accept", b"x-request-id", b"content-length"]
        assert b"host: localhost:%d" % upstream.port in sent.lines
        assert front.metric("fallbacks_total", fallback="external/endpoint") == 1


async def test_what_sleeps_is_woken_all_the_same() -> None:
    async with engine() as upstream, gateway(settings=HOLD) as front:
        front.state.swap(lending(outside(upstream)))
        before = front.state.demand.etag
        await ask(front)
        assert front.state.demand.etag != before
        assert [(a.namespace, a.name) for a in front.state.demand.report().adapters] == [ADAPTER]


async def test_another_endpoints_base_answers_while_no_engine_can() -> None:
    async with engine(pod="spare-0") as spare, gateway() as front:
        front.state.swap(lending(of_spare(spare)))
        response = await ask(front)
        assert who(response) == SPARE
        assert response.headers["x-tunefleet-base"] == BIG
        assert spare.received[0].json["model"] == BIG


async def test_streams_come_from_the_fallback_as_from_an_engine() -> None:
    async def script(call: Call) -> None:
        await call.stream(b'{"a": 1}', b"[DONE]")

    async with engine(script) as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream)))
        response = await ask(front)
        assert response.body == b'data: {"a": 1}\n\ndata: [DONE]\n\n'
        assert who(response) == OUTSIDE


async def test_engines_that_can_answer_are_not_passed_over() -> None:
    async with engine() as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        assert [who(await ask(front)) for _ in range(20)] == [OWN] * 20
        assert upstream.received == []


async def test_an_exact_version_is_answered_by_that_version_or_not_at_all() -> None:
    async with engine() as upstream, gateway() as front:
        made = lending(outside(upstream))
        front.state.swap(
            replace(made, routes={**made.routes, f"{MODEL}@v4": Route(MODEL, (Target(ENGINE_NAME, 1, ()),))})
        )
        assert (await ask(front, model=f"{MODEL}@v4")).code == "model_not_available"
        assert upstream.received == []


async def test_an_engine_that_takes_no_connection() -> None:
    async with engine() as upstream, gateway(settings=HOLD) as front:
        async with engine() as dead:
            pass
        front.state.swap(lending(outside(upstream), dead))
        assert who(await ask(front)) == OUTSIDE
        assert front.state.hold.requests == 0


async def test_a_request_that_may_have_run_goes_nowhere_else() -> None:
    async def die(call: Call) -> None:
        call.reset()

    async with engine(die) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        assert (await ask(front)).code == "engine_failed"
        assert upstream.received == []


async def test_a_fallback_that_takes_no_connection_is_none() -> None:
    async with gateway() as front:
        async with engine() as dead:
            pass
        front.state.swap(lending(outside(dead)))
        refused = await ask(front)
        assert (refused.status, refused.code) == (503, "engine_unreachable")


async def test_who_waits_goes_to_a_fallback_that_can_be_used_at_last() -> None:
    async with engine() as upstream, gateway(settings=HOLD) as front, await front.client() as client:
        front.state.swap(table())
        await client.send(post(ASK))
        while front.state.hold.requests != 1:  # noqa: ASYNC110 - what the gateway has read is its own affair
            await asyncio.sleep(0.001)
        front.state.swap(lending(outside(upstream)))
        assert who(await client.response()) == OUTSIDE


async def test_an_answer_that_has_begun_is_not_gone_on_with_by_other_weights() -> None:
    """Its head has gone, so nobody could be told."""

    async def script(call: Call) -> None:
        await call.stream(b"[DONE]")

    comments = Settings(hold=HoldLimits(seconds=30, comment_seconds=1e-9))
    async with engine(script) as own, engine() as upstream, gateway(settings=comments) as front:
        async with await front.client() as client:
            await client.send(post({**ASK, "stream": True}))
            while front.state.hold.requests != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            front.state.hold.comfort()
            head = await client.head()
            assert head.headers["content-type"] == "text/event-stream"
            front.state.swap(lending(outside(upstream)))
            front.state.hold.probe()
            front.state.swap(lending(outside(upstream), own))
            events = b"".join([chunk async for chunk in client.chunks()])
            assert events.endswith(b"data: [DONE]\n\n")
        assert upstream.received == []


# --- the breaker


async def broken(front: Gateway, times: int = FAILURES) -> None:
    """Ask until the endpoint's breaker is open."""
    for _ in range(times):
        response = await ask(front)
        assert response.status == 500
        assert who(response) == OWN
    assert front.state.fallbacks.breakers[ENDPOINT].state(front.state.clock()) == OPEN


async def test_while_the_breaker_is_open_the_fallback_answers() -> None:
    async with engine(fail) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        await broken(front)
        assert [who(await ask(front)) for _ in range(3)] == [OUTSIDE] * 3
        assert len(own.received) == FAILURES


async def test_the_engine_is_asked_again_and_keeps_the_requests_once_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.05)
    async with engine(fail) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        await broken(front)

        async def answer(call: Call) -> None:
            await call.answer()

        own.script = answer
        circuit = front.state.fallbacks.breakers[ENDPOINT]
        while circuit.state(front.state.clock()) != HALF_OPEN:  # noqa: ASYNC110 - time passes
            await asyncio.sleep(0.01)
        assert [who(await ask(front)) for _ in range(3)] == [OWN] * 3


async def test_without_a_fallback_that_can_answer_the_engines_own_error_is_the_answer() -> None:
    async with engine(fail) as own, gateway() as front:
        async with engine() as dead:
            pass
        front.state.swap(lending(outside(dead), own))
        await broken(front)
        assert [(await ask(front)).status for _ in range(3)] == [500] * 3


async def test_a_client_s_mistakes_do_not_open_it() -> None:
    async def refuse(call: Call) -> None:
        await call.answer(b"{}", b"400 Bad Request")

    async with engine(refuse) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        assert {(await ask(front)).status for _ in range(3 * FAILURES)} == {400}
        assert upstream.received == []


async def test_clients_that_leave_do_not_open_it() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def hang(call: Call) -> None:
        arrived.set()
        await call.gone()
        gone.set()

    async with engine(hang) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        for _ in range(2 * FAILURES):
            async with await front.client() as client:
                await client.send(post(ASK))
                await arrived.wait()
            await gone.wait()
            arrived.clear()
            gone.clear()
        assert not front.state.fallbacks.breakers[ENDPOINT].open(front.state.clock())


async def test_another_endpoints_pod_with_the_same_version_goes_before_other_weights() -> None:
    async with engine(fail) as own, engine(pod="twin-0") as twin, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        await broken(front)
        made = lending(outside(upstream), own, twin)
        elsewhere = replace(twin.backend, endpoint="twin")
        front.state.swap(_moved(made, twin.backend, elsewhere))
        assert [who(await ask(front)) for _ in range(5)] == [OWN] * 5
        assert len(twin.received) == 5


def _moved(made: RouteTable, was: Backend, now: Backend) -> RouteTable:
    """The table with this pod as another endpoint's."""

    def moved(backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
        return tuple(now if backend == was else backend for backend in backends)

    routes = {
        name: replace(route, targets=tuple(replace(t, backends=moved(t.backends)) for t in route.targets))
        for name, route in made.routes.items()
    }
    return replace(made, routes=routes, backends=moved(made.backends))


# --- keys


@asynccontextmanager
async def reading(front: Gateway, values: dict[str, str]) -> AsyncIterator[None]:
    """Secrets can be read; without `apiKey` there is none."""

    async def read(key: Key) -> dict[str, str]:
        assert key == SECRET
        if not values:
            raise KeyProblemError("the Secret with its API key does not exist")
        return values

    task = asyncio.create_task(front.state.externals.run(read))
    try:
        yield
    finally:
        task.cancel()


async def until_known(front: Gateway, fallback: Fallback, word: str = "") -> None:
    """The fallback's key was read, or cannot be for a reason with this word."""
    while word not in (said := front.state.fallbacks.problem(fallback)) or bool(said) != bool(word):  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_the_upstream_gets_our_key_and_not_the_clients() -> None:
    async with engine() as upstream, gateway() as front, reading(front, {"apiKey": "ours"}):
        fallback = outside(upstream, SECRET)
        front.state.swap(lending(fallback))
        await until_known(front, fallback)
        assert (await ask(front, b"Authorization: Bearer theirs")).status == 200
        assert [line for line in upstream.received[0].lines if line.startswith(b"authorization")] == [
            b"authorization: Bearer ours"
        ]


async def test_a_missing_key_is_said_and_who_waits_goes_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunefleet.gateway.external.RETRY_SECONDS", 0.01)
    values: dict[str, str] = {}
    async with engine() as upstream, gateway() as front, reading(front, values):
        fallback = outside(upstream, SECRET)
        front.state.swap(lending(fallback))
        await until_known(front, fallback, "does not exist")
        refused = await ask(front)
        assert (refused.status, refused.code) == (503, "model_not_available")
        assert refused.json["error"]["message"].endswith(
            "The fallback cannot answer either: the Secret with its API key does not exist."
        )
    async with engine() as upstream, gateway(settings=HOLD) as front, reading(front, values):
        front.state.swap(lending(outside(upstream, SECRET)))
        async with await front.client() as client:
            await client.send(post(ASK))
            while front.state.hold.requests != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            values["apiKey"] = "ours"
            assert who(await client.response()) == OUTSIDE


async def test_a_key_that_the_upstream_refuses_is_our_fault_and_read_anew() -> None:
    async def check(call: Call) -> None:
        good = b"authorization: Bearer new" in call.request.lines
        await call.answer(b'{"error": "key ...old"}', b"200 OK" if good else b"401 Unauthorized")

    values = {"apiKey": "old"}
    async with engine(check) as upstream, gateway() as front, reading(front, values):
        fallback = outside(upstream, SECRET)
        front.state.swap(lending(fallback))
        await until_known(front, fallback)
        values["apiKey"] = "new"
        async with await front.client() as client:
            await client.send(post(ASK))
            refused = await client.response()
            assert (refused.status, refused.code) == (502, "fallback_denied")
            assert b"old" not in refused.body
            used = front.state.externals.pods()[0]
            while used.authorization != b"authorization: Bearer new\r\n":  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await client.send(post(ASK))
            assert (await client.response()).status == 200  # the connection lives on


async def test_an_engines_401_is_the_engines() -> None:
    async def refuse(call: Call) -> None:
        await call.answer(b"{}", b"401 Unauthorized")

    async with engine(refuse) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        assert (await ask(front)).status == 401


# --- TLS


@asynccontextmanager
async def over_tls(authority: Authority, name: str) -> AsyncIterator[Engine]:
    """An upstream with a certificate for `name`, which this authority signed."""
    pair = authority.server(name, [], [name])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    made = Engine()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def pem(authority: Authority) -> str:
    return authority.pair.certificate.read_text()


async def test_an_upstream_with_a_private_authority(authority: Authority) -> None:
    async with over_tls(authority, "localhost") as upstream, gateway() as front:
        values = {"apiKey": "ours", AUTHORITY: pem(authority)}
        async with reading(front, values):
            fallback = outside(upstream, SECRET, "https")
            front.state.swap(lending(fallback))
            await until_known(front, fallback)
            assert [who(await ask(front)) for _ in range(3)] == [OUTSIDE] * 3
            assert upstream.connections == 1  # kept alive
            assert b"authorization: Bearer ours" in upstream.received[0].lines


@pytest.mark.parametrize("served", ["localhost", "elsewhere.example.com"])
async def test_nothing_goes_to_a_server_that_cannot_prove_its_name(authority: Authority, served: str) -> None:
    """Neither signed by an authority that is not trusted, nor for another name."""
    values = {"apiKey": "ours"} | ({} if served == "localhost" else {AUTHORITY: pem(authority)})
    async with over_tls(authority, served) as upstream, gateway() as front, reading(front, values):
        fallback = outside(upstream, SECRET, "https")
        front.state.swap(lending(fallback))
        await until_known(front, fallback)
        assert (await ask(front)).code == "engine_unreachable"
        assert upstream.received == []


async def test_an_authority_may_be_a_file_of_the_machine(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pair.certificate))
    async with over_tls(authority, "localhost") as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream, scheme="https")))
        assert who(await ask(front)) == OUTSIDE


# --- tables


async def test_a_table_without_the_fallback_ends_it() -> None:
    async with engine(fail) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        await broken(front)
        assert who(await ask(front)) == OUTSIDE
        front.state.swap(table(own))
        assert front.state.fallbacks.breakers == {}
        assert (await ask(front)).status == 500


async def test_a_breaker_outlives_its_table() -> None:
    async with engine(fail) as own, engine() as upstream, gateway() as front:
        front.state.swap(lending(outside(upstream), own))
        await broken(front)
        front.state.swap(lending(outside(upstream), own))
        assert who(await ask(front)) == OUTSIDE


async def test_what_the_fallback_answers_counts_for_no_canary() -> None:
    """Its errors are not the new version's."""
    async with engine(fail) as upstream, gateway() as front:
        new = "support-de@v5-00000005"
        made = lending(outside(upstream))
        targets = (Target(ENGINE_NAME, 50, ()), Target(new, 50, ()))
        route = replace(made.routes[MODEL], targets=targets, trial=TrialTerms("2026-11-21T12:00:00Z", new))
        front.state.swap(replace(made, routes={**made.routes, MODEL: route}, trials=(route,)))
        assert [(await ask(front)).status for _ in range(4)] == [500] * 4
        assert [v.requests for trial in front.state.demand.report().trials for v in trial.versions] == [0, 0]
