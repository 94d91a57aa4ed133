"""Adapters come and go while the engine runs: no restart, no new pod."""

import asyncio

import pytest

from dev.demo.load import Question
from dev.demo.scenario import SHORT
from dev.demo.verdict import is_wrong

from .fleet import Fleet, adapter

pytestmark = pytest.mark.e2e


def _pods(fleet: Fleet) -> set[tuple[str, int]]:
    """Engine pods with their restarts."""
    return {
        (pod["metadata"]["uid"], sum(s["restartCount"] for s in pod["status"].get("containerStatuses", [])))
        for pod in fleet.items("pods", "tunefleet.io/endpoint=tiny-chat,tunefleet.io/base-model-version=1")
    }


async def test_one_more_adapter_answers_without_a_restart(serving: Fleet) -> None:
    before = _pods(serving)
    serving.apply(adapter("shout", "s3://models/shout/v1"))
    try:
        await asyncio.to_thread(serving.wait, "loraadapter/shout", "condition=Ready")
        answer = await serving.load().ask(Question("shout", SHORT))
        assert not answer.error
        assert not is_wrong(answer, serving.expected)
        assert _pods(serving) == before
    finally:
        serving.delete(["loraadapter/shout"])


async def test_a_deleted_adapter_stops_answering(serving: Fleet) -> None:
    serving.apply(adapter("shout", "s3://models/shout/v1"))
    await asyncio.to_thread(serving.wait, "loraadapter/shout", "condition=Ready")
    serving.delete(["loraadapter/shout"])
    load = serving.load()

    async def until_unknown() -> str:
        while not (answer := await load.ask(Question("shout", SHORT))).error:
            pass
        return answer.error

    assert "NotFoundError" in await asyncio.wait_for(until_unknown(), 10)


def test_a_version_of_which_the_bytes_are_recorded_keeps_its_digest(serving: Fleet) -> None:
    entry = serving.get("loraadapter/german")["status"]["versions"][0]
    assert entry["accepted"] is True
    assert entry["rank"] == 8
    assert entry["digest"].startswith("sha256:")
    assert {module.rpartition(".")[2] for module in entry["targetModules"]} == {
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    }
