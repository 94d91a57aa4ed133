"""Every served name is answered by the weights that it names, through the official client."""

import asyncio

import aiohttp
import openai
import pytest

from dev.demo.load import Answer, Question
from dev.demo.scenario import SHORT
from dev.demo.verdict import is_wrong

from .fleet import Fleet

pytestmark = pytest.mark.e2e

SERVED = ("tiny-chat@v1", "german@v1", "formal@v1", "pirate@v1")


def _questions(fleet: Fleet) -> list[Question]:
    return [
        Question(version.partition("@")[0], text, max_tokens=512)
        for version in SERVED
        for text in fleet.expected[version]
    ]


def _assert_right(answers: list[Answer], fleet: Fleet) -> None:
    assert [a for a in answers if a.error] == []
    assert [a for a in answers if is_wrong(a, fleet.expected)] == []


async def test_each_version_gives_exactly_its_trained_answers(serving: Fleet) -> None:
    load = serving.load()
    answers = [await load.ask(question) for question in _questions(serving)]
    _assert_right(answers, serving)


async def test_streams_of_all_models_at_once_are_not_mixed_up(serving: Fleet) -> None:
    """Also the base beside adapters: on CPU it is answered by the last slot's adapter if every slot is taken."""
    load = serving.load()
    for _ in range(3):
        answers = await asyncio.gather(*(load.stream(question) for question in _questions(serving)))
        _assert_right(list(answers), serving)


async def test_an_exact_version_can_be_asked_for(serving: Fleet) -> None:
    client = serving.load().client
    alias = await client.chat.completions.create(
        model="german", messages=[{"role": "user", "content": SHORT}], temperature=0, max_tokens=32
    )
    for name in ("german@v1", alias.model):
        exact = await client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": SHORT}], temperature=0, max_tokens=32
        )
        assert exact.model == alias.model
        assert exact.choices[0].message.content == alias.choices[0].message.content


async def test_the_answer_s_header_names_the_exact_version(serving: Fleet) -> None:
    raw = await serving.load().client.chat.completions.with_raw_response.create(
        model="german", messages=[{"role": "user", "content": SHORT}], max_tokens=4
    )
    assert raw.headers["x-tunefleet-model"] == raw.parse().model
    assert raw.headers["x-request-id"]


async def test_models_are_listed_by_served_name(serving: Fleet) -> None:
    listed = [model.id async for model in serving.load().client.models.list()]
    assert {"tiny-chat", "german", "formal", "pirate"} <= set(listed)


async def test_completions_work_as_well(serving: Fleet) -> None:
    done = await serving.load().client.completions.create(model="german", prompt="The capital of", max_tokens=4)
    assert done.model.startswith("german@v1-")
    assert done.choices[0].text


async def test_an_unknown_model_is_a_404_that_says_so(serving: Fleet) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await serving.load().client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "?"}])
    assert refused.value.code == "model_not_found"
    assert "nobody" in refused.value.message


@pytest.mark.parametrize(
    "path", ["/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/invocations", "/metrics", "/rerank"]
)
async def test_engine_routes_are_not_reachable_through_the_gateway(serving: Fleet, path: str) -> None:
    body = {"model": "german", "lora_name": "x", "lora_path": "/x"}
    async with aiohttp.ClientSession(serving.gateway) as client, client.post(path, json=body) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
