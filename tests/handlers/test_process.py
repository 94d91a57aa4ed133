"""The whole operator process against a real control plane; only nodes, engines and agents are the tests' own."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.control_plane import SYSTEM, ControlPlane
from tests.handlers.fleet_of_fakes import (
    adapter,
    base_model,
    endpoint,
    finish_inspection,
    pods,
    run_engine,
)
from tests.handlers.operator_process import LEASE_SECONDS, Operator, running, wait_until
from tests.reconcile.fake_agent import Agent, serving
from tests.reconcile.fake_gateway import Gateway, serving_demand
from tunefleet.handlers.leading import FINISH_SECONDS

pytestmark = pytest.mark.apiserver

ACCOUNT = f"system:serviceaccount:{SYSTEM}:tunefleet-operator"
ADDRESS = "127.0.77.1"
GATEWAY_ADDRESS = "127.0.77.9"


def status(plane: ControlPlane, place: str, kind: str, name: str) -> dict[str, Any]:
    """As it stands."""
    found: dict[str, Any] = plane.get(kind, name, "-n", place).get("status", {})
    return found


def reason(plane: ControlPlane, place: str, kind: str, name: str) -> str:
    """Of the condition Ready."""
    conditions = status(plane, place, kind, name).get("conditions", [])
    return next((c["reason"] for c in conditions if c["type"] == "Ready"), "")


def writes(plane: ControlPlane, place: str) -> list[str]:
    """What the operator wrote in a namespace."""
    found = (entry for entry in plane.audit() if entry["user"]["username"] == ACCOUNT and entry["verb"] != "get")
    return [f"{entry['verb']} {entry['requestURI']}" for entry in found if f"/{place}/" in entry["requestURI"]]


async def bring_up(plane: ControlPlane, place: str, operator: Operator) -> Agent:
    """A base and an endpoint until its pod runs; the caller must serve its agent."""
    await asyncio.to_thread(plane.apply, base_model(place), endpoint(place))
    await until(lambda: bool(pods(plane, place, "inspection")), "an inspection runs", operator)
    finish_inspection(plane, pods(plane, place, "inspection")[0])
    await until(lambda: bool(pods(plane, place, "engine")), "an engine's pod exists", operator)
    pod = pods(plane, place, "engine")[0]
    agent = Agent(pod["metadata"]["annotations"]["tunefleet.io/engine-name"])
    run_engine(plane, pod, ADDRESS)
    return agent


async def until(condition: Any, what: str, operator: Operator) -> None:
    """The agent of the test goes on answering meanwhile."""
    await asyncio.to_thread(wait_until, condition, what, operator.words)


async def test_from_three_objects_to_a_served_adapter_and_then_silence(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    with running(plane, tmp_path) as operator:
        operator.wait_leading()
        agent = await bring_up(plane, place, operator)
        async with serving(agent, ADDRESS):
            await until(lambda: reason(plane, place, "inferenceendpoint", "chat") == "Serving", "chat serves", operator)
            await asyncio.to_thread(plane.apply, adapter(place, "german"))
            await until(lambda: reason(plane, place, "loraadapter", "german") == "Serving", "german serves", operator)
            german = status(plane, place, "loraadapter", "german")
            assert german["servingVersion"] == 1
            assert [held["engineName"] for held in agent.held] == [german["traffic"][0]["engineName"]]
            assert agent.inspected == ["pvc://models/german/v1"]
            assert len(agent.tokens) == 1
            await asyncio.sleep(1)
            before = writes(plane, place)
            await asyncio.sleep(10)
            assert writes(plane, place) == before
            assert operator.admin("/healthz") == (200, "ok\n")
            await promote(plane, place, agent, operator)
    leaves_no_trace(plane, place)
    reads_no_secret_of_users(plane, place)


async def promote(plane: ControlPlane, place: str, agent: Agent, operator: Operator) -> None:
    """A second version, by patch; both stay on the engine."""
    await asyncio.to_thread(plane.apply, adapter(place, "german", versions=(1, 2), active=2))

    def second_serves() -> bool:
        return status(plane, place, "loraadapter", "german").get("servingVersion") == 2

    await until(second_serves, "version 2 serves", operator)
    assert len(agent.held) == 2
    await asyncio.to_thread(plane.apply, adapter(place, "german", versions=(1, 2), active=1))
    await until(lambda: not second_serves(), "version 1 serves again", operator)


def leaves_no_trace(plane: ControlPlane, place: str) -> None:
    """kopf wrote nothing: no finalizers, no annotations; and the spec is the user's."""
    for kind in ("basemodel", "loraadapter", "inferenceendpoint"):
        for found in plane.get(kind, "-n", place, "--show-managed-fields")["items"]:
            assert "finalizers" not in found["metadata"]
            assert set(found["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
            ours = [entry for entry in found["metadata"]["managedFields"] if entry["manager"].startswith("tunefleet")]
            assert {entry["subresource"] for entry in ours} <= {"status"}


def reads_no_secret_of_users(plane: ControlPlane, place: str) -> None:
    """By the API server's own account."""
    asked = [e for e in plane.audit() if e["user"]["username"] == ACCOUNT and e["objectRef"]["resource"] == "secrets"]
    assert {e["verb"] for e in asked} <= {"get", "create", "patch"}
    assert {e["objectRef"]["name"] for e in asked if e["verb"] == "get"} == {"tunefleet-fleet", "chat-engine"}


async def test_killed_again_and_again_it_converges_all_the_same(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    plane.apply(base_model(place), endpoint(place))
    agent: Agent | None = None
    for life in range(4):
        with running(plane, tmp_path, name=f"life-{life}") as operator:
            operator.wait_leading()
            await asyncio.sleep(0.1 * life)
            operator.kill()
        for pod in pods(plane, place, "inspection"):
            finish_inspection(plane, pod)
        for pod in pods(plane, place, "engine"):
            run_engine(plane, pod, ADDRESS)
            agent = Agent(pod["metadata"]["annotations"]["tunefleet.io/engine-name"])
    assert agent
    plane.apply(adapter(place, "german"))
    with running(plane, tmp_path) as operator:
        async with serving(agent, ADDRESS):
            await until(lambda: reason(plane, place, "loraadapter", "german") == "Serving", "german serves", operator)
    assert len(plane.get("deployments", "-n", place)["items"]) == 1
    assert len(plane.get("secrets", "-n", place)["items"]) == 1


def test_a_signal_ends_it_soon_and_leaves_the_lease_free(plane: ControlPlane, tmp_path: Path) -> None:
    with running(plane, tmp_path) as operator:
        operator.wait_leading()
        began = time.monotonic()
        assert operator.terminate() == 0
        assert time.monotonic() - began < 10
    lease = plane.get("lease", "tunefleet-operator", "-n", SYSTEM)
    assert lease["spec"].get("holderIdentity", "") == ""


def test_of_two_one_acts_and_the_other_takes_over(plane: ControlPlane, place: str, tmp_path: Path) -> None:
    with running(plane, tmp_path, name="first") as first:
        first.wait_leading()
        with running(plane, tmp_path, name="second") as second:
            wait_until(lambda: second.admin("/readyz") == (200, "standing by\n"), "the second stands by", second.words)
            assert not second.leads
            first.kill()
            taken = wait_until(lambda: second.leads, "the second leads", second.words)
            assert taken < LEASE_SECONDS + 2  # what requests may take on a busy machine
            plane.apply(base_model(place))
            wait_until(lambda: reason(plane, place, "basemodel", "chat") == "Inspecting", "it acts", second.words)
            with running(plane, tmp_path, name="third") as third:
                wait_until(lambda: third.admin("/readyz")[0] == 200, "the third stands by", third.words)
                assert second.terminate() == 0
                assert wait_until(lambda: third.leads, "the third leads", third.words) < LEASE_SECONDS * 0.75


def test_with_namespaces_given_others_are_left_alone(plane: ControlPlane, place: str, tmp_path: Path) -> None:
    plane.kubectl("create", "namespace", f"{place}-other")
    plane.apply(base_model(f"{place}-other", "other"), base_model(place))
    plane.kubectl("delete", "clusterrolebinding", "tunefleet-operator")
    try:
        plane.install_roles(f"watchNamespaces[0]={place}")
        with running(plane, tmp_path, f"--watch-namespace={place}") as operator:
            operator.wait_leading()
            wait_until(lambda: reason(plane, place, "basemodel", "chat") == "Inspecting", "it acts", operator.words)
            assert operator.admin("/healthz") == (200, "ok\n")
        assert reason(plane, f"{place}-other", "basemodel", "other") == ""
    finally:
        plane.install_roles()
        plane.remove(f"{place}-other")


def test_an_operator_that_may_not_watch_any_more_ends_with_an_error(
    plane: ControlPlane, place: str, tmp_path: Path
) -> None:
    with running(plane, tmp_path) as operator:
        operator.wait_leading()
        plane.kubectl("delete", "clusterrolebinding", "tunefleet-operator")
        try:
            plane.end("kube-apiserver")  # ends the watches that were authorised before
            plane.start_api_server()
            assert operator.process.wait(60) == 1
        finally:
            plane.install_roles()


def test_watches_that_break_are_opened_again(plane: ControlPlane, place: str, tmp_path: Path) -> None:
    with running(plane, tmp_path, "--lease-seconds=60") as operator:
        operator.wait_leading()
        plane.end("kube-apiserver")
        plane.start_api_server()
        plane.apply(base_model(place))
        wait_until(lambda: reason(plane, place, "basemodel", "chat") == "Inspecting", "it acts", operator.words)
        assert operator.process.poll() is None
        assert operator.admin("/healthz") == (200, "ok\n")


def test_without_an_api_server_it_ends_before_another_could_lead(plane: ControlPlane, tmp_path: Path) -> None:
    with running(plane, tmp_path) as operator:
        operator.wait_leading()
        plane.freeze("kube-apiserver")
        try:
            began = time.monotonic()
            assert operator.process.wait(30) == 1
            assert time.monotonic() - began < LEASE_SECONDS + FINISH_SECONDS
        finally:
            plane.thaw("kube-apiserver")


async def test_gateways_are_listened_to_with_the_charts_permissions(plane: ControlPlane, tmp_path: Path) -> None:
    labels = {"app.kubernetes.io/name": "tunefleet", "app.kubernetes.io/component": "gateway"}
    metadata = {"name": "gateway-0", "namespace": SYSTEM, "labels": labels}
    spec = {"containers": [{"name": "gateway", "image": "gateway"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    await asyncio.to_thread(plane.apply, pod)
    run_engine(plane, pod, GATEWAY_ADDRESS)
    gateway = Gateway()
    try:
        async with serving_demand(gateway, GATEWAY_ADDRESS):
            with running(plane, tmp_path) as operator:
                await until(lambda: gateway.asked > 1, "the gateway was asked, and again", operator)
                assert "tunefleet_operator_gateways 1.0" in operator.admin("/metrics")[1]
    finally:
        await asyncio.to_thread(
            plane.kubectl, "delete", "pod", "gateway-0", "-n", SYSTEM, "--grace-period=0", "--force"
        )
