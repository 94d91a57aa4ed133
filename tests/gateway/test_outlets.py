"""Requests through a whole gateway: what the audit trail, traces, metrics and the answer's header say of them."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.harness import (
    ASK,
    BASE_ENGINE_NAME,
    ENGINE_NAME,
    MODEL,
    Call,
    Engine,
    Gateway,
    engine,
    gateway,
    get,
    post,
)
from tests.gateway.records import value
from tests.gateway.test_tracing import PARENT, SAMPLED, TRACE, attributes, receiving
from tunefleet.gateway.outlets import NoOpenTelemetryError, outlets
from tunefleet.gateway.settings import AUDIT_OFF, Settings

ANSWER = b'{"choices":[{"message":{"content":"the answer"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
SECRET = b"Authorization: Bearer sk-0123456789abcdef"
Json = dict[str, Any]


async def say_answer(call: Call) -> None:
    await call.answer(ANSWER)


async def say_stream(call: Call) -> None:
    await call.stream(
        b'{"choices":[{"delta":{"content":"a"}}]}', b'{"choices":[],"usage":{"prompt_tokens":3}}', b"[DONE]"
    )


async def break_off(call: Call) -> None:
    await call.stream(b"1", finish=False)
    call.reset()


async def leave(call: Call) -> None:
    call.reset()


async def audited(path: Path, at: Engine, *requests: bytes) -> list[Json]:
    """The lines about some requests, each on a connection of its own."""
    async with gateway(at) as front, outlets(front.state.telemetry, Settings(audit=str(path))):
        for request in requests:
            await front.once(request)
    return [json.loads(line) for line in text_of(path).splitlines()]


def text_of(path: Path) -> str:
    return path.read_text()


def move(path: Path) -> Path:
    return path.rename(path.with_suffix(".1"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


CLOSE = b"Connection: close"


async def test_an_answer_a_stream_a_refusal(path: Path) -> None:
    async with engine(say_answer) as at:
        requests = (
            post(ASK, CLOSE, b"x-request-id: mine"),
            post({**ASK, "model": "nobody"}, CLOSE),
            get("/healthz", CLOSE),
        )
        answered, refused = await audited(path, at, *requests)
    assert answered["request_id"] == "mine"
    assert (answered["model"], answered["version"], answered["base"]) == (MODEL, ENGINE_NAME, BASE_ENGINE_NAME)
    assert (answered["status"], answered["outcome"], answered["pod"]) == (200, "2xx", "ns/engine-0")
    assert (answered["prompt_tokens"], answered["completion_tokens"]) == (3, 4)
    assert (refused["status"], refused["refusal"]) == (404, "model_not_found")
    assert "model" not in refused


async def test_a_stream(path: Path) -> None:
    async with engine(say_stream) as at:
        (line,) = await audited(path, at, post({**ASK, "stream": True}, CLOSE))
    assert (line["streamed"], line["events"], line["prompt_tokens"]) == (True, 3, 3)
    assert "completion_tokens" not in line


async def test_engines_that_fail(path: Path) -> None:
    async with engine(break_off) as at:
        (broken,) = await audited(path, at, post(ASK, CLOSE))
    assert (broken["outcome"], broken["status"]) == ("broken", 200)
    async with engine(leave) as at:
        lines = await audited(path, at, post(ASK, CLOSE))
    assert (lines[-1]["outcome"], lines[-1]["status"], lines[-1]["refusal"]) == ("5xx", 502, "engine_failed")


async def test_what_is_no_request_has_a_line_too(path: Path) -> None:
    async with engine() as at:
        (line,) = await audited(path, at, b"GET / HTTP/1.1\r\n bad\r\n\r\n")
    assert (line["status"], line["refusal"]) == (400, "malformed_request")


async def test_neither_prompt_nor_answer_nor_key_is_in_a_line(path: Path) -> None:
    asked = {**ASK, "messages": [{"role": "user", "content": "a secret question"}]}
    async with engine(say_answer) as at:
        lines = await audited(
            path,
            at,
            post(asked, SECRET, CLOSE),
            post({**asked, "model": "sk-0123456789abcdef"}, CLOSE),
            get("/v1/sk-0123456789abcdef", CLOSE),
        )
    assert len(lines) == 3
    text = text_of(path)
    assert not [word for word in ("secret question", "the answer", "sk-0123456789") if word in text]


async def test_the_file_is_opened_anew_on_sighup(path: Path) -> None:
    async with engine(say_answer) as at, gateway(at) as front:
        async with outlets(front.state.telemetry, Settings(audit=str(path))):
            await front.once(post(ASK, CLOSE))
            moved = move(path)
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
            await front.once(post(ASK, CLOSE))
        assert text_of(path).count("\n") + text_of(moved).count("\n") == 2
        assert front.state.telemetry.audit is None


async def test_a_span_for_each_request_at_an_engine() -> None:
    with receiving() as receiver:
        async with engine(say_answer) as at, gateway(at) as front:
            async with outlets(front.state.telemetry, Settings(audit=AUDIT_OFF, otel_endpoint=receiver.url)):
                await front.once(post(ASK, CLOSE, b"traceparent: " + SAMPLED))
                await front.once(post({**ASK, "model": "nobody"}, CLOSE))
            assert b"traceparent: " + SAMPLED in at.received[0].lines
        (span,) = receiver.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(span)["gen_ai.usage.output_tokens"] == 4


async def test_spans_without_opentelemetry_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tunefleet.gateway.tracing", None)
    async with gateway() as front:
        with pytest.raises(NoOpenTelemetryError, match="tunefleet\\[otel\\]"):
            async with outlets(front.state.telemetry, Settings(audit=AUDIT_OFF, otel_endpoint="http://127.0.0.1:1")):
                pass


async def test_an_answer_says_what_answered() -> None:
    async with engine(say_answer) as at, gateway(at) as front, await front.client() as client:
        await client.send(post(ASK, b"x-request-id: mine"))
        headers = (await client.response()).headers
        assert (headers["x-request-id"], headers["x-tunefleet-model"]) == ("mine", ENGINE_NAME)
        assert headers["x-tunefleet-base"] == BASE_ENGINE_NAME
        await client.send(get("/v1/models"))
        assert len((await client.response()).headers["x-request-id"]) == 32


async def test_tokens_and_times_are_measured() -> None:
    async with engine(say_stream) as at, gateway(at) as front:
        await front.once(post({**ASK, "stream": True}, CLOSE))
        assert measured(front, "tunefleet_gateway_tokens_total", type="input") == 3
        assert measured(front, "tunefleet_gateway_requests_total", code="2xx") == 1


def measured(front: Gateway, name: str, **labels: str) -> float | None:
    return value(front.state.metrics, name, model=MODEL, version="v4", **labels)
