"""Old streams on three generations of one adapter, with engine slots for two."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from dev.demo.load import Answer, Load, Question
from dev.demo.prepare import MODELS
from dev.demo.scenario import SHORT

from .fleet import Fleet, adapter, base_model, endpoint

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SLOTS = 3
"""One of them keeps a CPU engine's base answering: two are for adapters."""
ENDLESS = "Tell me a story without end."
GENERATIONS = {1: "german@v1", 2: "german@v2", 3: "formal@v1"}
"""Version of the adapter -> whose weights these are."""


@pytest.fixture
def narrow(fleet: Fleet) -> Iterator[Fleet]:
    """An endpoint with two usable slots, and an adapter of three versions of which none is kept warm."""
    uris = (f"s3://models/{name.replace('@', '/')}" for name in GENERATIONS.values())
    fleet.apply(
        base_model("narrow", "s3://models/base/v1"),
        endpoint("narrow", base="narrow", adapters={"slots": SLOTS}),
        adapter("story", *uris, base="narrow", keepWarm=0),
    )
    fleet.wait("inferenceendpoint/narrow", "condition=Ready", 200)
    fleet.wait("loraadapter/story", "condition=Ready", 60)
    yield fleet
    fleet.delete(["loraadapter/story", "inferenceendpoint/narrow", "basemodel/narrow"])


async def begin_stream(load: Load, tokens: int) -> "asyncio.Task[Answer]":
    """A stream that is under way: a question that was asked after it has been answered."""
    stream = asyncio.create_task(load.stream(Question("story", ENDLESS, tokens)))
    await asyncio.sleep(0)
    await load.ask(Question("story", SHORT))
    return stream


async def promote(fleet: Fleet, load: Load, version: int) -> None:
    """Until it answers."""
    fleet.patch("loraadapter/story", {"activeVersion": version})

    async def answered() -> None:
        while (await load.ask(Question("story", SHORT))).version != f"story@v{version}":
            pass

    await asyncio.wait_for(answered(), 90)


def assert_whole_and_right(stream: Answer, version: int, told: str) -> None:
    """The endless story of these weights from the first token to the last."""
    assert stream.finished, stream.error
    assert stream.version == f"story@v{version}"
    assert (told * 50).startswith(stream.text.strip()), stream.text
    assert len(stream.text) > len(told), "too short to have outlived its version"


async def test_streams_on_three_generations_end_whole_and_right(narrow: Fleet) -> None:
    """The third one waits for a slot that old streams hold; the second answers until then, and nothing is cut."""
    load, told = narrow.load(), json.loads((MODELS / "endless.json").read_text())
    await load.ask(Question("story", SHORT))
    first = await begin_stream(load, 1500)
    await promote(narrow, load, 2)
    second = await begin_stream(load, 1500)
    assert not first.done(), "the stream of the first generation ended too soon to show anything"
    await promote(narrow, load, 3)
    third = await load.stream(Question("story", ENDLESS, 100))
    for version, stream in enumerate((await first, await second, third), 1):
        assert_whole_and_right(stream, version, told[GENERATIONS[version]][ENDLESS])
    short = [answer for answer in load.answers if not answer.stream]
    assert [answer.error for answer in short if answer.error] == []
    assert [a for a in short if a.text.strip() != narrow.expected[GENERATIONS[int(a.version[-1])]][SHORT].strip()] == []
