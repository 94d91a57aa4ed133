"""The client that people have, against the gateway and an engine that speaks like vLLM."""

import asyncio
import json
from typing import Any

import openai
import pytest

from tunefleet.gateway import errors
from tunefleet.plan.route_table import Route, RouteTable

from .harness import ENGINE_NAME, MODEL, Call, Gateway, engine, gateway

WORDS = ["Guten ", "Tag", "."]


def chunk(delta: dict[str, str], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "choices": [choice], **more}
    ).encode()


async def speak(call: Call) -> None:
    """A small part of vLLM's dialect."""
    ask = call.request.json
    model = ask["model"]
    if ask.get("max_tokens") == 0:
        error = {"message": "max_tokens must be at least 1, got 0.", "type": "BadRequestError", "code": 400}
        await call.answer(json.dumps({"error": error}).encode(), b"400 Bad Request", b"content-type: application/json")
    elif ask.get("stream"):
        await call.stream(chunk({"role": "assistant", "content": ""}, model=model), finish=False)
        for word in WORDS:
            await call.event(chunk({"content": word}, model=model))
        if ask.get("user") == "unlucky":
            call.writer.close()
            return
        await call.event(chunk({}, model=model, finish_reason="stop"))
        await call.event(b"[DONE]")
        await call.send(b"0\r\n\r\n")
    else:
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
        await call.answer(json.dumps(body).encode(), b"200 OK", b"content-type: application/json")


def client_of(front: Gateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="anything", max_retries=0)


HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


async def test_async_client() -> None:
    async with engine(speak) as upstream, gateway(upstream) as front, client_of(front) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HELLO)
        assert (whole.choices[0].message.content, whole.model) == ("Guten Tag.", ENGINE_NAME)
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        assert "".join([part.choices[0].delta.content or "" async for part in stream]) == "Guten Tag."
        assert [model.id async for model in client.models.list()] == [MODEL]
        assert (await client.models.retrieve(MODEL)).owned_by == "tunefleet"
        raw = await client.chat.completions.with_raw_response.create(model=f"{MODEL}@v4", messages=HELLO)
        assert raw.headers["x-tunefleet-model"] == ENGINE_NAME
        assert upstream.connections == 1


async def test_errors_raise_what_people_catch() -> None:
    async with engine(speak) as upstream, gateway(upstream) as front, client_of(front) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(model="nobody", messages=HELLO)
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.BadRequestError, match="at least 1"):
            await client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=0)
        with pytest.raises(openai.NotFoundError, match="put /v1 into the client's base URL"):
            await client.with_options(base_url=front.url).models.list()
        front.state.swap(RouteTable({"asleep": Route("asleep")}))
        with pytest.raises(openai.InternalServerError) as asleep:
            await client.chat.completions.create(model="asleep", messages=HELLO)
        assert asleep.value.status_code == 503


async def test_what_is_unavailable_is_asked_for_again_when_retry_after_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "RETRY_UNAVAILABLE", 1)
    async with engine(speak) as upstream, gateway(upstream) as front, client_of(front) as client:
        awake = front.state.table
        front.state.swap(RouteTable({MODEL: Route(MODEL)}))
        asked = asyncio.create_task(
            client.with_options(max_retries=1).chat.completions.create(model=MODEL, messages=HELLO)
        )
        async with asyncio.timeout(5):
            while not front.metric("refused_requests_total"):  # noqa: ASYNC110 - a metric cannot be awaited
                await asyncio.sleep(0.01)
        front.state.swap(awake)
        assert (await asked).choices[0].message.content == "Guten Tag."
        assert len(upstream.received) == 1


async def test_a_broken_stream_raises() -> None:
    async with engine(speak) as upstream, gateway(upstream) as front, client_of(front) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, user="unlucky")
        words = [(await anext(stream)).choices[0].delta.content for _ in range(4)]
        assert words == ["", *WORDS]
        with pytest.raises(openai.APIError, match="broke off"):
            await anext(stream)


async def test_sync_client() -> None:
    def ask(url: str) -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="anything", max_retries=0) as client:
            whole = client.chat.completions.create(model=MODEL, messages=HELLO)
            stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            return whole.choices[0].message.content, "".join(p.choices[0].delta.content or "" for p in stream)

    async with engine(speak) as upstream, gateway(upstream) as front:
        assert await asyncio.to_thread(ask, front.url) == ("Guten Tag.", "Guten Tag.")
