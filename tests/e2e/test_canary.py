"""A canary on the cluster: real shares, sessions that stay with their version, promotion by real counts."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from dev.demo.scenario import SHORT

from .fleet import Fleet, adapter, until

pytestmark = pytest.mark.e2e

NAME = "in-steps"
OLD, NEW = f"{NAME}@v1", f"{NAME}@v2"
SESSIONS = [f"session-{n}" for n in range(40)]
STEPS = [{"weight": 20, "durationSeconds": 5}, {"weight": 60, "durationSeconds": 5}]
ANALYSIS = {"minRequests": 20, "maxErrorRate": 0.05}


def in_steps(active: int, **rollout: Any) -> dict[str, Any]:
    uris = ("s3://models/german/v1", "s3://models/german/v2")
    return adapter(NAME, *uris, active=active, rollout={"steps": STEPS, "analysis": ANALYSIS, **rollout})


Seen = dict[str, list[str]]
"""By session, the versions that answered, in order."""


@asynccontextmanager
async def asking(fleet: Fleet) -> AsyncIterator[Seen]:
    """Every session asks again and again while the block runs. An error of any request fails the test."""
    seen: Seen = defaultdict(list)
    stop = asyncio.Event()
    client = fleet.load().client
    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(_asking(client, SESSIONS[n::8], seen, stop))
        try:
            yield seen
        finally:
            stop.set()


async def _asking(client: AsyncOpenAI, sessions: list[str], seen: Seen, stop: asyncio.Event) -> None:
    while not stop.is_set():
        for session in sessions:
            answer = await client.chat.completions.create(
                model=NAME,
                messages=[{"role": "user", "content": SHORT}],
                max_tokens=4,
                extra_headers={"x-tunefleet-session": session},
            )
            seen[session].append(answer.model.rpartition("-")[0])


def _answered(seen: Seen, version: str) -> bool:
    return any(versions[-1:] == [version] for versions in list(seen.values()))


def _asked(seen: Seen) -> list[int]:
    return [len(seen.get(session, ())) for session in SESSIONS]


async def test_sessions_move_once_and_stay_until_all_have_moved(serving: Fleet) -> None:
    serving.apply(in_steps(1))
    target = f"loraadapter/{NAME}"
    try:
        await asyncio.to_thread(serving.wait, target, "condition=Ready")
        async with asking(serving) as seen:
            await asyncio.to_thread(serving.patch, target, {"activeVersion": 2})
            await asyncio.to_thread(serving.wait, target, "jsonpath={.status.canary.weight}=20")
            await asyncio.to_thread(serving.wait, target, "jsonpath={.status.canary.weight}=60", 180)
            between = {session: versions[-1] for session, versions in seen.items() if versions}
            await asyncio.to_thread(serving.wait, target, "jsonpath={.status.servingVersion}=2", 180)
            await asyncio.to_thread(serving.wait, target, "condition=Ready")
        for session, versions in seen.items():
            assert versions == sorted(versions), f"{session} went back: {versions}"
        assert set(between.values()) == {OLD, NEW}, "a share, and not everybody"
        assert [h["cause"] for h in serving.get(target)["status"]["history"]] == ["Promoted", "Promoted"]
    finally:
        await asyncio.to_thread(serving.delete, [target])


async def test_a_canary_that_is_ended_gives_all_sessions_back(serving: Fleet) -> None:
    serving.apply(in_steps(1, paused=True))
    target = f"loraadapter/{NAME}"
    try:
        await asyncio.to_thread(serving.wait, target, "condition=Ready")
        async with asking(serving) as seen:
            await asyncio.to_thread(serving.patch, target, {"activeVersion": 2})
            await asyncio.to_thread(serving.wait_reason, target, "Ready", "Paused")
            await asyncio.to_thread(until, lambda: _answered(seen, NEW), "version 2 has its share", 60)
            await asyncio.to_thread(serving.patch, target, {"activeVersion": 1})
            await asyncio.to_thread(serving.wait, target, "condition=Ready")
        async with asking(serving) as after:
            await asyncio.to_thread(until, lambda: min(_asked(after)) > 1, "every session has asked twice", 120)
        assert {version for versions in after.values() for version in versions[1:]} == {OLD}
        assert serving.get(target)["status"]["history"][-1]["cause"] == "CanaryAborted"
    finally:
        await asyncio.to_thread(serving.delete, [target])
