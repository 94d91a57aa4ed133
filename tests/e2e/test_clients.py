"""The official client for Python, against real vLLM behind the gateway: every form of request that people send."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

import aiohttp
import openai
import pytest
from pydantic import BaseModel

from dev.demo.scenario import SHORT
from tunefleet.api.names import ENGINE_PORT

from .fleet import Fleet

pytestmark = pytest.mark.e2e

ASK: list[Any] = [{"role": "user", "content": SHORT}]


class City(BaseModel):
    """What a structured answer must be."""

    city: Literal["Lima", "Quito"]


TOOL: Any = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {**City.model_json_schema(), "additionalProperties": False}},
}


def client_of(fleet: Fleet, **options: Any) -> openai.AsyncOpenAI:
    """Closed when the test ends."""
    fleet.clients.append(
        openai.AsyncOpenAI(**{"base_url": f"{fleet.gateway}/v1", "api_key": "open", "max_retries": 0, **options})
    )
    return fleet.clients[-1]


async def running(fleet: Fleet) -> float:
    """Requests that the engines work on or queue."""
    total = 0.0
    async with aiohttp.ClientSession() as session:
        for pod in fleet.items("pods", "tunefleet.io/endpoint=tiny-chat"):
            async with session.get(f"http://{pod['status']['podIP']}:{ENGINE_PORT}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            total += sum(
                float(line.rpartition(" ")[2])
                for line in lines
                if line.startswith(("vllm:num_requests_running{", "vllm:num_requests_waiting{"))
            )
    return total


async def reaches(fleet: Fleet, wanted: Callable[[float], bool]) -> None:
    """Wait until the engines have so much to do."""
    async with asyncio.timeout(10):
        while not wanted(await running(fleet)):  # noqa: ASYNC110 - metrics cannot be awaited
            await asyncio.sleep(0.1)


def test_the_synchronous_client(serving: Fleet) -> None:
    with openai.OpenAI(base_url=f"{serving.gateway}/v1", api_key="open", max_retries=0) as client:
        whole = client.chat.completions.create(model="german", messages=ASK, temperature=0, max_tokens=32)
        stream = client.chat.completions.create(
            model="german", messages=ASK, temperature=0, max_tokens=32, stream=True
        )  # fmt: skip
        parts = [part.choices[0].delta.content or "" for part in stream]
    assert whole.choices[0].message.content == "".join(parts) == serving.expected["german@v1"][SHORT]
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0


async def test_a_stream_ends_with_its_usage_when_asked_for(serving: Fleet) -> None:
    stream = await client_of(serving).chat.completions.create(
        model="german", messages=ASK, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    parts = [part async for part in stream]
    assert {part.model.partition("@")[0] for part in parts} == {"german"}
    assert not parts[-1].choices
    assert parts[-1].usage is not None
    assert 0 < parts[-1].usage.completion_tokens <= 8


async def test_a_structured_answer_is_parsed_into_its_type(serving: Fleet) -> None:
    parsed = await client_of(serving).chat.completions.parse(
        model="german", messages=ASK, max_tokens=64, response_format=City
    )
    assert isinstance(parsed.choices[0].message.parsed, City)


async def test_a_tool_that_must_be_called(serving: Fleet) -> None:
    client = client_of(serving)
    ask: dict[str, Any] = {"model": "german", "messages": ASK, "max_tokens": 128, "tools": [TOOL]}
    ask["tool_choice"] = {"type": "function", "function": {"name": "look_up"}}
    done = await client.chat.completions.create(**ask)
    async with client.chat.completions.stream(**ask) as stream:
        streamed = await stream.get_final_completion()
    for message in (done.choices[0].message, streamed.choices[0].message):
        (call,) = message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "look_up"
        City.model_validate_json(call.function.arguments)


async def test_log_probabilities_of_an_answer(serving: Fleet) -> None:
    done = await client_of(serving).chat.completions.create(
        model="german", messages=ASK, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3
    )
    logprobs = done.choices[0].logprobs
    assert logprobs is not None
    tokens = logprobs.content or []
    assert tokens
    assert all(len(token.top_logprobs) >= 3 and token.logprob <= 0 for token in tokens)


async def test_several_choices_and_stop_texts(serving: Fleet) -> None:
    client = client_of(serving)
    several = await client.chat.completions.create(
        model="german", messages=ASK, n=2, seed=7, temperature=0.5, max_tokens=8
    )
    assert [choice.index for choice in several.choices] == [0, 1]
    whole = serving.expected["german@v1"][SHORT]
    stop = whole.split()[-1]
    stopped = await client.chat.completions.create(
        model="german", messages=ASK, temperature=0, max_tokens=32, stop=[stop]
    )
    assert stopped.choices[0].message.content == whole.partition(stop)[0]
    assert stopped.choices[0].finish_reason == "stop"


async def test_models(serving: Fleet) -> None:
    client = client_of(serving)
    listed = {model.id: model async for model in client.models.list()}
    assert listed["german"] == await client.models.retrieve("german")
    with pytest.raises(openai.NotFoundError, match="nobody"):
        await client.models.retrieve("nobody")


async def test_the_responses_api(serving: Fleet) -> None:
    client = client_of(serving)
    done = await client.responses.create(model="german", input=SHORT, temperature=0, max_output_tokens=32)
    assert done.output_text == serving.expected["german@v1"][SHORT]
    assert done.model.startswith("german@v1-")
    parsed = await client.responses.parse(model="german", input=SHORT, max_output_tokens=64, text_format=City)
    assert isinstance(parsed.output_parsed, City)
    async with client.responses.stream(model="german", input=SHORT, temperature=0, max_output_tokens=32) as stream:
        assert (await stream.get_final_response()).output_text == done.output_text
    with pytest.raises(openai.NotFoundError, match="responses are not stored"):
        await client.responses.retrieve(done.id)
    with pytest.raises(openai.BadRequestError, match="background"):
        await client.responses.create(model="german", input=SHORT, background=True)


async def test_tokens_of_a_text(serving: Fleet) -> None:
    body = {"model": "german", "prompt": SHORT}
    async with aiohttp.ClientSession(serving.gateway) as client:
        async with client.post("/tokenize", json=body) as answer:
            tokens = (await answer.json())["tokens"]
            assert answer.headers["x-tunefleet-model"].startswith("german@v1-")
        async with client.post("/detokenize", json={"model": "german", "tokens": tokens}) as answer:
            assert (await answer.json())["prompt"] == SHORT


async def test_errors_of_engines_come_as_the_client_s_exceptions(serving: Fleet) -> None:
    client = client_of(serving)
    with pytest.raises(openai.NotFoundError) as none:  # vLLM has the path for embedding models only
        await client.embeddings.create(model="german", input="x")
    assert none.value.body == {"detail": "Not Found"}
    with pytest.raises(openai.BadRequestError, match="maximum context length is 2048"):
        await client.completions.create(model="german", prompt="Lima " * 3000)
    with pytest.raises(openai.BadRequestError, match="at least 1"):
        await client.chat.completions.create(model="german", messages=ASK, max_tokens=0)


async def test_errors_of_the_gateway_come_as_the_client_s_exceptions(serving: Fleet) -> None:
    client = client_of(serving)
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="germane", messages=ASK)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError) as deadly:
        await client.chat.completions.create(model="german", messages=ASK, extra_body={"echo": True})
    assert (deadly.value.code, deadly.value.param) == ("unsupported_parameter", "echo")
    with pytest.raises(openai.NotFoundError, match="put /v1 into the client's base URL"):
        await client_of(serving, base_url=serving.gateway).chat.completions.create(model="german", messages=ASK)
    with pytest.raises(openai.APIStatusError) as huge:
        await client.completions.create(model="german", prompt="x" * (17 << 20))
    assert (huge.value.status_code, huge.value.code) == (413, "request_too_large")


LONG: dict[str, Any] = {"model": "german", "messages": ASK, "max_tokens": 1900, "extra_body": {"ignore_eos": True}}


async def test_a_stream_that_the_client_leaves_ends_in_the_engine(serving: Fleet) -> None:
    stream = await client_of(serving).chat.completions.create(**LONG, stream=True)
    await anext(stream)
    assert await running(serving) >= 1
    await stream.close()
    await reaches(serving, lambda count: count == 0)


async def test_a_request_that_times_out_or_is_cancelled_ends_in_the_engine(serving: Fleet) -> None:
    client = client_of(serving)
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.5).chat.completions.create(**LONG)
    await reaches(serving, lambda count: count == 0)
    asked = asyncio.create_task(client.chat.completions.create(**LONG))
    await reaches(serving, lambda count: count == 1)
    asked.cancel()
    await reaches(serving, lambda count: count == 0)


async def test_fields_that_only_vllm_knows_reach_it(serving: Fleet) -> None:
    done = await client_of(serving).chat.completions.create(
        model="german", messages=ASK, max_tokens=8, extra_body={"structured_outputs": {"choice": ["Lima"]}}
    )
    assert done.choices[0].message.content == "Lima"
    assert json.loads(done.to_json())["model"] == done.model
