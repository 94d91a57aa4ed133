"""After a fault everything comes back without a hand: engines, pods, operators."""

import asyncio
import json

import pytest

from dev.demo.load import Question
from dev.demo.prepare import SYSTEM_NAMESPACE
from dev.demo.scenario import SHORT
from dev.demo.verdict import is_wrong

from .fleet import Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ENGINES = "tunefleet.io/endpoint=tiny-chat,tunefleet.io/base-model-version=1"


KILL_ENGINE_CORE = """
import os, pathlib, signal
processes = pathlib.Path("/proc").glob("[0-9]*")
cores = [p for p in processes if (p / "cmdline").read_bytes().startswith(b"VLLM::EngineCore")]
assert cores, "no engine core runs"
for core in cores:
    os.kill(int(core.name), signal.SIGKILL)
"""
"""The first process of a container is safe from its own kind; the engine's core is what dies in real life."""


def _engine_pod(fleet: Fleet) -> dict[str, object]:
    (pod,) = (p for p in fleet.items("pods", ENGINES) if "deletionTimestamp" not in p["metadata"])
    return pod


def _restarts(pod: dict[str, object]) -> int:
    statuses = pod["status"]["containerStatuses"]  # type: ignore[index]
    count: int = next(s["restartCount"] for s in statuses if s["name"] == "engine")
    return count


async def _assert_every_adapter_answers(fleet: Fleet) -> None:
    load = fleet.load()
    for model in ("german", "formal", "pirate"):
        answer = await load.ask(Question(model, SHORT))
        assert not answer.error
        assert not is_wrong(answer, fleet.expected)


async def test_an_engine_that_dies_in_place_gets_its_adapters_back(serving: Fleet) -> None:
    pod = _engine_pod(serving)
    name, before = pod["metadata"]["name"], _restarts(pod)  # type: ignore[index]
    serving.kubectl("exec", name, "-c", "engine", "--", "python3", "-c", KILL_ENGINE_CORE)
    restarted = f"jsonpath={{.status.containerStatuses[?(@.name=='engine')].restartCount}}={before + 1}"
    await asyncio.to_thread(serving.wait, f"pod/{name}", restarted)
    await asyncio.to_thread(serving.wait, f"pod/{name}", "condition=Ready", 180)
    await _assert_every_adapter_answers(serving)


async def test_a_deleted_pod_comes_back_with_its_adapters(serving: Fleet) -> None:
    name = _engine_pod(serving)["metadata"]["name"]  # type: ignore[index]
    serving.kubectl("delete", "pod", name, "--wait")
    await asyncio.to_thread(serving.wait, "inferenceendpoint/tiny-chat", "jsonpath={.status.readyReplicas}=1", 180)
    await asyncio.to_thread(serving.wait, "loraadapter/german", "condition=Ready", 60)
    await _assert_every_adapter_answers(serving)


async def test_a_killed_operator_is_replaced_and_the_promotion_ends(serving: Fleet) -> None:
    lease = json.loads(
        serving.shell.kubectl("get", "lease", "-n", SYSTEM_NAMESPACE, "tunefleet-operator", "-o", "json", quiet=True)
    )
    holder = lease["spec"]["holderIdentity"]
    serving.patch("loraadapter/german", {"activeVersion": 2})
    serving.shell.kubectl(
        "delete", "pod", "-n", SYSTEM_NAMESPACE, holder.split("_")[0], "--grace-period=0", "--force", quiet=True
    )
    await asyncio.to_thread(serving.wait, "loraadapter/german", "jsonpath={.status.servingVersion}=2", 60)
    serving.patch("loraadapter/german", {"activeVersion": 1})
    await asyncio.to_thread(serving.wait, "loraadapter/german", "jsonpath={.status.servingVersion}=1", 60)
    await _assert_every_adapter_answers(serving)
