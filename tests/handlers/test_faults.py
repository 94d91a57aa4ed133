"""The operator process is killed after every single write of a promotion and of a roll-back."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.control_plane import SYSTEM, ControlPlane
from tests.handlers.counted_writes import CountedAgent, Counter, proxy
from tests.handlers.fleet_of_fakes import adapter, base_model, endpoint, finish_inspection, pods, run_engine
from tests.handlers.operator_process import Operator, running, wait_until
from tests.reconcile.fake_agent import serving

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(300)]

ADDRESS, STRANGERS_ADDRESS = "127.0.77.3", "127.0.77.4"
QUIET_SECONDS = 1.0
"""Without a write for so long a change is over."""


class Served:
    """A served adapter, its agent, and one operator after the other."""

    def __init__(self, plane: ControlPlane, place: str, start: Callable[[str], Operator], counter: Counter) -> None:
        """`start` makes an operator process of this name."""
        self.plane, self.place, self.counter, self._start = plane, place, counter, start
        self.lives = 0
        self.operator = self.live()

    def live(self) -> Operator:
        """The operator, or the next one if it was killed; that one need not wait for the Lease."""
        if self.lives == 0 or self.operator.process.poll() is not None:
            self.lives += 1
            self.plane.kubectl("delete", "lease", "-n", SYSTEM, "tunefleet-operator", "--ignore-not-found")
            self.operator = self._start(f"life-{self.lives}")
        return self.operator

    def status(self) -> dict[str, Any]:
        """Of german."""
        found: dict[str, Any] = self.plane.get("loraadapter", "german", "-n", self.place).get("status", {})
        return found

    def serves(self, version: int) -> bool:
        """Whether everything is told of this version."""
        found = self.plane.get("loraadapter", "german", "-n", self.place)
        status = found.get("status", {})
        ready: dict[str, str] = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
        return (
            status.get("servingVersion") == version
            and status["observedGeneration"] == found["metadata"]["generation"]
            and ready.get("reason") == "Serving"
            and [target["version"] for target in status["traffic"]] == [version]
        )

    def base_answers(self) -> bool:
        """An adapter that is applied from now on is read by the agent, not by a Job."""
        status = self.plane.get("inferenceendpoint", "chat", "-n", self.place).get("status", {})
        return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))

    def change(self, versions: range, active: int) -> None:
        """What the user does."""
        self.plane.apply(adapter(self.place, "german", versions=versions, active=active))


async def until(condition: Any, what: str, operator: Operator) -> None:
    """Agents and proxy of the test go on meanwhile."""
    await asyncio.to_thread(wait_until, condition, what, operator.words)


async def settle(served: Served, version: int) -> None:
    """Until the version serves and nothing is written any more, or the operator was killed."""

    def over() -> bool:
        if served.operator.process.poll() is not None:
            return True
        before = len(served.counter.seen)
        if not served.serves(version):
            return False
        time.sleep(QUIET_SECONDS)
        return len(served.counter.seen) == before

    await until(over, f"version {version} serves", served.operator)


async def cut(served: Served, writes: int, versions: range, active: int) -> bool:
    """Change, kill after so many writes, and let another operator finish; whether there were as many writes."""
    before = len(served.status()["history"])
    served.counter.arm(writes, served.operator.process.kill)
    await asyncio.to_thread(served.change, versions, active)
    await settle(served, active)
    if served.counter.fired:
        await asyncio.to_thread(served.operator.process.wait)
        served.live()
        await settle(served, active)
    assert served.serves(active)
    assert len(served.status()["history"]) == before + 1, served.counter.seen
    return served.counter.fired


async def bring_up(served: Served) -> CountedAgent:
    """Until an engine's pod is up, where the returned agent must listen at ADDRESS."""
    plane, place, operator = served.plane, served.place, served.operator
    await asyncio.to_thread(plane.apply, base_model(place), endpoint(place))
    await until(lambda: bool(pods(plane, place, "inspection")), "an inspection runs", operator)
    finish_inspection(plane, pods(plane, place, "inspection")[0])
    await until(lambda: bool(pods(plane, place, "engine")), "an engine's pod exists", operator)
    pod = pods(plane, place, "engine")[0]
    run_engine(plane, pod, ADDRESS)
    return CountedAgent(pod["metadata"]["annotations"]["tunefleet.io/engine-name"], served.counter)


async def test_killed_after_every_single_write_of_a_promotion_and_of_a_roll_back(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    """Each promotion is one to a version that nobody has seen; each roll-back is to one that is warm."""
    counter = Counter()
    async with contextlib.AsyncExitStack() as stack:
        access = await stack.enter_async_context(proxy(plane, counter, tmp_path))

        def start(name: str) -> Operator:
            return stack.enter_context(running(plane, tmp_path, kubeconfig=access, name=name))

        served = Served(plane, place, start, counter)
        agent = await bring_up(served)
        await stack.enter_async_context(serving(agent, ADDRESS))
        await until(served.base_answers, "chat serves", served.operator)
        await asyncio.to_thread(served.change, range(1, 2), 1)
        await settle(served, 1)
        promotion = roll_back = True
        writes = 0
        while promotion or roll_back:
            writes += 1
            versions = range(1, writes + 2)
            promotion = await cut(served, writes, versions, writes + 1)
            roll_back = roll_back and await cut(served, writes, versions, writes)
            assert served.status()["traffic"][0]["engineName"] in {held["engineName"] for held in agent.held}
        assert served.lives > 4, "fewer writes than a change takes were seen"


async def test_pods_of_another_namespace_with_the_same_labels_are_strangers(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    """A pod that looks like an engine, whose agent says that it holds everything, is told nothing and serves nobody."""
    counter = Counter()
    async with contextlib.AsyncExitStack() as stack:
        served = Served(plane, place, lambda n: stack.enter_context(running(plane, tmp_path, name=n)), counter)
        agent = await bring_up(served)
        stranger = CountedAgent(agent.report["engine"]["name"], counter)
        await stack.enter_async_context(serving(agent, ADDRESS))
        await stack.enter_async_context(serving(stranger, STRANGERS_ADDRESS))
        await asyncio.to_thread(look_alike, plane, place, stack)
        await until(served.base_answers, "chat serves", served.operator)
        await asyncio.to_thread(served.change, range(1, 2), 1)
        await until(lambda: served.serves(1), "german serves", served.operator)
        assert stranger.puts == 0
        assert stranger.inspected == []
        assert served.status()["loaded"] == {"desired": 1, "ready": 1}
        chat = plane.get("inferenceendpoint", "chat", "-n", place)["status"]
        assert (chat["replicas"], chat["readyReplicas"]) == (1, 1)


def look_alike(plane: ControlPlane, place: str, stack: contextlib.AsyncExitStack) -> None:
    """A pod with the labels and annotations of the engine's, ready, in a namespace of its own."""
    (engine,) = pods(plane, place, "engine")
    other = f"{place}-other"
    plane.kubectl("create", "namespace", other)
    stack.callback(plane.remove, other)
    kept = {name: engine["metadata"][name] for name in ("labels", "annotations")}
    container = {"name": "engine", "image": "stranger"}
    metadata = {"name": engine["metadata"]["name"], "namespace": other, **kept}
    plane.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    (pod,) = pods(plane, other, "engine")
    run_engine(plane, pod, STRANGERS_ADDRESS)
