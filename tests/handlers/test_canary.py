"""A canary under the whole operator process: begun, killed in the middle, judged by what a gateway tells."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.control_plane import SYSTEM, ControlPlane
from tests.handlers.fleet_of_fakes import adapter, run_engine
from tests.handlers.operator_process import Operator, running
from tests.handlers.test_process import bring_up, reason, status, until, writes
from tests.reconcile.fake_agent import Agent, serving
from tests.reconcile.fake_gateway import Gateway, serving_demand

pytestmark = pytest.mark.apiserver

ADDRESS, GATEWAY_ADDRESS = "127.0.77.1", "127.0.77.10"
ANALYSIS = {"minRequests": 10, "maxErrorRate": 0.1}
FAILED = {"Ready": "True", "Stalled": "True", "RolledBack": "True"}


class CountingGateway(Gateway):
    """Tells of one canary."""

    def __init__(self) -> None:
        super().__init__()
        self._trials: list[dict[str, Any]] = []

    @property
    def report(self) -> dict[str, Any]:
        """With the counts."""
        return {**super().report, "trials": self._trials}

    async def count(self, namespace: str, name: str, german: dict[str, Any], requests: int, errors: int) -> None:
        """So many requests for both versions, and errors of the new one, since the present step began."""
        canary = german["canary"]
        versions = [
            {
                "engineName": t["engineName"],
                "requests": requests,
                "errors": errors * (t["version"] == canary["version"]),
            }
            for t in german["traffic"]
        ]
        self._trials = [{"namespace": namespace, "name": name, "since": canary["since"], "versions": versions}]
        await self.tell()


def in_steps(place: str, seconds: int, **rollout: Any) -> dict[str, Any]:
    """german, whose version 2 gets half of the requests for a while."""
    manifest = adapter(place, "german", versions=(1, 2), active=2)
    steps = [{"weight": 50, "durationSeconds": seconds}]
    manifest["spec"]["rollout"] = {"steps": steps, "analysis": ANALYSIS, **rollout}
    return manifest


def german(plane: ControlPlane, place: str) -> dict[str, Any]:
    return status(plane, place, "loraadapter", "german")


def shares(plane: ControlPlane, place: str) -> dict[int, int]:
    return {t["version"]: t["weight"] for t in german(plane, place).get("traffic", [])}


@asynccontextmanager
async def gateway_of(plane: ControlPlane) -> AsyncIterator[CountingGateway]:
    """A gateway's pod that tells."""
    labels = {"app.kubernetes.io/name": "tunefleet", "app.kubernetes.io/component": "gateway"}
    metadata = {"name": "gateway-canary", "namespace": SYSTEM, "labels": labels}
    spec = {"containers": [{"name": "gateway", "image": "gateway"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    await asyncio.to_thread(plane.apply, pod)
    run_engine(plane, pod, GATEWAY_ADDRESS)
    gateway = CountingGateway()
    try:
        async with serving_demand(gateway, GATEWAY_ADDRESS):
            yield gateway
    finally:
        deletion = ("delete", "pod", "gateway-canary", "-n", SYSTEM, "--grace-period=0", "--force")
        await asyncio.to_thread(plane.kubectl, *deletion)


async def begun(plane: ControlPlane, place: str, manifest: dict[str, Any], operator: Operator) -> dict[str, Any]:
    """The status once the canary has its share."""
    await asyncio.to_thread(plane.apply, manifest)
    await until(lambda: shares(plane, place) == {1: 50, 2: 50}, "version 2 has its share", operator)
    return german(plane, place)


async def served(plane: ControlPlane, place: str, operator: Operator) -> Agent:
    """An agent that will hold german once it is served by `serving`."""
    operator.wait_leading()
    return await bring_up(plane, place, operator)


async def first_version(plane: ControlPlane, place: str, operator: Operator) -> None:
    await until(lambda: reason(plane, place, "inferenceendpoint", "chat") == "Serving", "chat serves", operator)
    await asyncio.to_thread(plane.apply, adapter(place, "german"))
    await until(lambda: reason(plane, place, "loraadapter", "german") == "Serving", "german serves", operator)


async def test_a_canary_that_fails_is_taken_back_by_the_operator_that_comes_after(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    async with gateway_of(plane) as gateway:
        with running(plane, tmp_path, name="first") as operator:
            agent = await served(plane, place, operator)
            async with serving(agent, ADDRESS):
                await first_version(plane, place, operator)
                before = await begun(plane, place, in_steps(place, 600), operator)
                operator.kill()
        async with serving(agent, ADDRESS):
            with running(plane, tmp_path, name="second") as operator:
                operator.wait_leading()
                written = len(writes(plane, place))
                await gateway.count(place, "german", before, requests=9, errors=9)
                await until(lambda: gateway.asked > 2, "the gateway is heard", operator)
                assert german(plane, place)["canary"] == before["canary"]
                assert len(writes(plane, place)) == written
                await gateway.count(place, "german", before, requests=40, errors=30)
                await until(lambda: shares(plane, place) == {1: 100}, "version 2 is taken back", operator)
                taken_back(plane, place)
                skipping = in_steps(place, 600, skipStepsFor=2)
                await asyncio.to_thread(plane.apply, skipping)
                await until(lambda: shares(plane, place) == {2: 100}, "version 2 is had all the same", operator)


def taken_back(plane: ControlPlane, place: str) -> None:
    """Everything that a person can see of it, with the figures."""
    found = german(plane, place)
    assert found["servingVersion"] == 1
    assert {c["type"]: c["status"] for c in found["conditions"]} == FAILED
    assert found["canary"]["state"] == "RolledBack"
    assert found["history"][-1]["cause"].startswith("CanaryWorse: 30 of 40 requests failed")
    events = plane.get("events", "-n", place, "--field-selector=reason=CanaryWorse")["items"]
    assert ["30 of 40 requests failed" in (e.get("note") or e.get("message", "")) for e in events] == [True]


async def test_a_canary_that_does_well_is_promoted_at_the_end_of_its_time(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    async with gateway_of(plane) as gateway:
        with running(plane, tmp_path) as operator:
            agent = await served(plane, place, operator)
            async with serving(agent, ADDRESS):
                await first_version(plane, place, operator)
                before = await begun(plane, place, in_steps(place, 4), operator)
                await gateway.count(place, "german", before, requests=400, errors=1)
                await until(lambda: shares(plane, place) == {2: 100}, "version 2 took over", operator)
                found = german(plane, place)
                assert [h["cause"] for h in found["history"]] == ["Promoted", "Promoted"]
                assert "canary" not in found
