"""An adapter that nobody asks for leaves the engine, and the next request brings it back and is answered."""

import asyncio

import pytest

from dev.demo.load import Question
from dev.demo.scenario import SHORT
from dev.demo.verdict import is_wrong

from .fleet import Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_a_request_wakes_a_sleeping_adapter_and_waits_for_it(serving: Fleet) -> None:
    serving.patch("loraadapter/pirate", {"loading": {"minReplicas": 0, "idleSeconds": 5}})
    try:
        await asyncio.to_thread(serving.wait_reason, "loraadapter/pirate", "Ready", "ScaledToZero")
        assert serving.get("loraadapter/pirate")["status"]["loaded"] == {"ready": 0, "desired": 0}
        load = serving.load()
        answers = await asyncio.gather(*(load.ask(Question("pirate", SHORT)) for _ in range(5)))
        assert [answer.error for answer in answers] == [""] * 5
        assert not any(is_wrong(answer, serving.expected) for answer in answers)
        await asyncio.to_thread(serving.wait_reason, "loraadapter/pirate", "Ready", "Serving")
    finally:
        serving.patch("loraadapter/pirate", {"loading": {"minReplicas": 1, "idleSeconds": 1800}})
        await asyncio.to_thread(serving.wait, "loraadapter/pirate", "jsonpath={.status.loaded.ready}=1")
