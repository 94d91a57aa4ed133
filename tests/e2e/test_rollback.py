"""Versions go up and down by one patch, under load, without a failed, wrong or broken answer."""

import asyncio
from collections.abc import Callable

import pytest

from dev.demo.load import Answer, Question
from dev.demo.scenario import LONG, LONG_TOKENS, RATE, SHORT
from dev.demo.verdict import came_late

from .faults import patch_quickly
from .fleet import Fleet, assert_clean, first_since

pytestmark = pytest.mark.e2e

SERVED_BASE_VERSION = "jsonpath={.status.revisions[?(@.state=='Serving')].baseModelVersion}"


def _version(name: str) -> Callable[[Answer], bool]:
    return lambda answer: answer.version == name


async def test_an_adapter_goes_up_and_back_under_load(serving: Fleet) -> None:
    load = serving.load()
    short = [Question(m, SHORT) for m in ("german", "german", "formal", "pirate")]
    long = [Question(m, LONG, LONG_TOKENS) for m in ("german", "german", "formal", "pirate")]
    async with load.running(short, RATE, long):
        await first_since(load, "german@v1")
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 2})
        await first_since(load, "german@v2")
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 1})
        back = await first_since(load, "german@v1")
        await first_since(load, "pirate@v1")
    assert_clean(load, serving, least=20)
    assert came_late(load.answers, "german@v1", back.ended) == []
    history = serving.get("loraadapter/german")["status"]["history"]
    assert [(h.get("from"), h["to"]) for h in history[-2:]] == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    "patches", [(2, 1), (2, 1, 2, 1), (1, 2, 1)], ids=["promotion and roll-back", "twice", "roll-back and promotion"]
)
async def test_patches_that_cross_end_at_the_last(serving: Fleet, patches: tuple[int, ...]) -> None:
    """All within a tenth of a second. Whoever asks after the last one was answered gets no other version."""
    load = serving.load()
    async with load.running([Question("german", SHORT)], RATE, [Question("german", LONG, LONG_TOKENS)]):
        await first_since(load, "german@v1")
        await asyncio.to_thread(patch_quickly, serving, "german", *patches)
        await asyncio.to_thread(serving.wait, "loraadapter/german", "condition=Ready")
        await asyncio.to_thread(serving.wait, "loraadapter/german", "jsonpath={.status.servingVersion}=1")
        last = await first_since(load, "german@v1")
        await first_since(load, "german@v1")
    assert_clean(load, serving, least=2)
    assert came_late(load.answers, "german@v1", last.ended) == []


async def test_an_endpoint_s_base_goes_up_and_back(serving: Fleet) -> None:
    """The old revision answers until the new one is ready, and is still there for the way back."""
    load = serving.load()
    selector = "tunefleet.io/base-model-version=1"
    before = {pod["metadata"]["uid"] for pod in serving.items("pods", selector)}
    async with load.running([Question("tiny-chat", SHORT)], 5):
        await first_since(load, "tiny-chat@v1")
        await asyncio.to_thread(serving.patch, "inferenceendpoint/tiny-chat", {"model": {"version": 2}})
        await first_since(load, "tiny-chat@v2")
        await asyncio.to_thread(serving.patch, "inferenceendpoint/tiny-chat", {"model": {"version": 1}})
        await first_since(load, "tiny-chat@v1")
    assert_clean(load, serving, least=10)
    assert {pod["metadata"]["uid"] for pod in serving.items("pods", selector)} == before
    await asyncio.to_thread(serving.wait, "inferenceendpoint/tiny-chat", "condition=Ready")


async def test_adapters_of_the_old_base_version_keep_answering_from_warm_pods(serving: Fleet) -> None:
    """german is pinned to base version 1: while the endpoint serves version 2, pods of version 1 are still warm."""
    serving.patch("inferenceendpoint/tiny-chat", {"model": {"version": 2}})
    await asyncio.to_thread(
        serving.wait,
        "inferenceendpoint/tiny-chat",
        f"{SERVED_BASE_VERSION}=2",
    )
    answer = await serving.load().ask(Question("german", SHORT))
    assert answer.version == "german@v1", answer.error
    serving.patch("inferenceendpoint/tiny-chat", {"model": {"version": 1}})
    await asyncio.to_thread(
        serving.wait,
        "inferenceendpoint/tiny-chat",
        f"{SERVED_BASE_VERSION}=1",
    )
