"""The HTTP API: who may ask what, what is refused, and waiting for a change."""

import asyncio
import json
from typing import Any

import pytest

from tests.agent.fake_engine import BASE, FakeEngine
from tests.agent.fleet import READ, WRITE, Pod, Running, state_of
from tests.artifacts.samples import write_adapter
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.engine.adapters_api import AdapterState


async def call(agent: Running, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, str]:
    async with agent.session.request(method, agent.url + path, headers=headers, json=body) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "write-token"}, READ])
@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/adapters"), ("POST", "/v1/inspections")])
async def test_only_the_operator_changes_anything(
    agent: Running, headers: dict[str, str], method: str, path: str
) -> None:
    status, _ = await call(agent, method, path, headers, {"adapters": []})
    assert status == 401


@pytest.mark.parametrize(
    ("headers", "status"), [(READ, 200), (WRITE, 200), ({}, 401), ({"Authorization": "Bearer "}, 401)]
)
async def test_operator_and_gateways_read(agent: Running, headers: dict[str, str], status: int) -> None:
    assert (await call(agent, "GET", "/v1/adapters", headers))[0] == status


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
async def test_probes_and_metrics_need_no_token(agent: Running, path: str) -> None:
    assert (await call(agent, "GET", path, {}))[0] == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engineName": "german@v1-00000000"}, "does not end with the first 8 digits"),
        ({"engineName": "../../etc@v1-00000000"}, "engineName"),
        ({"uri": "ftp://x/y"}, "uri"),
        ({"digest": "md5:1"}, "digest"),
        ({"rank": 0}, "rank"),
        ({"rank": None}, "rank"),
    ],
)
async def test_sets_that_make_no_sense(pod: Pod, agent: Running, change: dict[str, Any], words: str) -> None:
    body = {"adapters": [pod.adapter().dump() | change]}
    status, text = await call(agent, "PUT", "/v1/adapters", WRITE, body)
    assert status == 400
    assert words in json.loads(text)["error"]["message"]


async def test_names_that_are_taken(pod: Pod, agent: Running) -> None:
    german = pod.adapter().dump()
    assert (await call(agent, "PUT", "/v1/adapters", WRITE, {"adapters": [german, german]}))[0] == 400
    base = german | {"engineName": BASE, "digest": "sha256:0123abcd" + "0" * 56}
    assert (await call(agent, "PUT", "/v1/adapters", WRITE, {"adapters": [base]}))[0] == 400


@pytest.mark.parametrize("body", [[], "x", {}, {"adapters": "x"}, None])
async def test_bodies_that_are_none(agent: Running, body: Any) -> None:
    for method, path in (("PUT", "/v1/adapters"), ("POST", "/v1/inspections")):
        assert (await call(agent, method, path, WRITE, body))[0] == 400


async def test_a_refused_set_changes_nothing(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, AdapterState.LOADED)
    await call(agent, "PUT", "/v1/adapters", WRITE, {"adapters": [{}]})
    assert state_of(await agent.report(), german) == AdapterState.LOADED


async def test_a_long_poll_waits_for_the_next_change(pod: Pod, agent: Running) -> None:
    settled = await agent.wait(lambda r: r.engine.ready)
    waiting = asyncio.create_task(agent.report(after=settled.etag))
    await asyncio.sleep(0)
    assert not waiting.done()
    await agent.put(pod.adapter())
    assert (await waiting).etag != settled.etag


async def test_a_report_with_another_etag_comes_at_once(agent: Running) -> None:
    report = await agent.report(after="of-another-boot-7")
    assert report.engine.name == BASE


async def test_etags_of_two_agents_never_agree(pod: Pod, agent: Running) -> None:
    from tests.agent.fleet import agent_in

    async with agent_in(pod) as other:
        ours, theirs = await agent.report(), await other.report()
    assert ours.etag.partition("-")[0] != theirs.etag.partition("-")[0]


async def test_the_engines_figures_are_in_the_report(agent: Running) -> None:
    report = await agent.wait(lambda r: r.engine.ready)
    engine = report.engine
    assert (engine.name, engine.version, engine.starts, engine.slots, engine.max_rank) == (BASE, "0.32.0", 1, 8, 16)


async def inspect(agent: Running, **body: Any) -> InspectionResult:
    status, text = await call(agent, "POST", "/v1/inspections", WRITE, body)
    assert status == 200, text
    return InspectionResult.read(json.loads(text))


async def test_an_inspected_adapter_needs_no_second_transfer(pod: Pod, agent: Running) -> None:
    german = pod.adapter()
    result = await inspect(agent, uri=german.uri)
    assert result.digest == german.digest
    assert result.adapter is not None
    assert result.adapter.rank == 8
    pod.lose_source(german)
    await agent.put(german)
    await agent.wait_for(german, AdapterState.LOADED)


async def test_an_inspection_that_cannot_be_made_is_an_answer(pod: Pod, agent: Running) -> None:
    german = pod.adapter()
    missing = await inspect(agent, uri="pvc://adapters/nowhere")
    assert (missing.reason, missing.transient) == (Reason.SOURCE_NOT_FOUND, True)
    secret = await inspect(agent, uri=german.uri, secretName="nowhere")
    assert (secret.reason, secret.transient) == (Reason.SECRET_NOT_FOUND, True)
    other = await inspect(agent, uri=german.uri, digest="sha256:" + "0" * 64)
    assert (other.reason, other.transient) == (Reason.DIGEST_MISMATCH, False)
    write_adapter(pod.claim / "broken", r=0)
    broken = await inspect(agent, uri="pvc://adapters/broken")
    assert (broken.reason, broken.transient) == (Reason.CONFIG_INVALID, False)


async def test_metrics_count_adapters_by_state(pod: Pod, agent: Running) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, AdapterState.LOADED)
    _, text = await agent.get("/metrics")
    assert 'tunefleet_agent_adapters{state="Loaded"} 1' in text
    assert "tunefleet_agent_engine_ready 1" in text
