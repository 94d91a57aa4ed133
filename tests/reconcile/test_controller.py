"""The reconcilers with the real decisions, against a real API server; no watch, so every event is lost."""

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from dev.shell import Shell
from tests.handlers.fleet_of_fakes import ARCHITECTURE, DIGEST, base_model, endpoint
from tests.reconcile.objects import SETTINGS
from tunefleet.build.decide import decide
from tunefleet.kube.client import Client
from tunefleet.kube.fence import LeadershipLostError
from tunefleet.plan.dependents import dependents
from tunefleet.plan.facts import Facts, ObjectRef
from tunefleet.plan.plan import Plan
from tunefleet.reconcile.controller import Controller
from tunefleet.reconcile.metrics import Metrics

pytestmark = pytest.mark.apiserver

CHILDREN = "deployments,jobs,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,secrets"


class Fence:
    """Allows so many writes, then the process is as good as dead."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def remaining(self) -> float:
        self.left -= 1
        return 10.0 if self.left >= 0 else 0.0


def make(api: Client, namespace: str, fence: Fence, **more: Any) -> Controller:
    """One life of an operator."""
    options: dict[str, Any] = {"decide": decide, "dependents": dependents, **more}
    return Controller(api, fence, SETTINGS, Metrics(), identity="tests", namespaces=(namespace,), **options)


async def work(controller: Controller) -> None:
    """Until nothing is left to do. Raises ExceptionGroup with LeadershipLostError."""
    running = asyncio.create_task(controller.run())
    idle = asyncio.create_task(controller.queue.idle())
    await asyncio.wait((running, idle), timeout=20, return_when=asyncio.FIRST_COMPLETED)
    controller.stop()
    idle.cancel()
    try:
        await running
    finally:
        await controller.close()


async def live(api: Client, namespace: str, *, writes: int = 1000) -> int:
    """List everything and work; the writes that were sent. Raises ExceptionGroup when more were needed."""
    fence = Fence(writes)
    controller = make(api, namespace, fence)
    await controller.resync()
    await work(controller)
    return writes - fence.left


def accept(kubectl: Shell, namespace: str) -> None:
    """A base that has been read, and an endpoint of it."""
    for obj in (base_model(namespace), endpoint(namespace)):
        kubectl.kubectl("apply", "-f", "-", stdin=json.dumps(obj))
    version = {"version": 1, "digest": DIGEST, "sizeBytes": 2000, "accepted": True, "architecture": ARCHITECTURE}
    patch = json.dumps({"status": {"observedGeneration": 1, "versions": [version]}})
    kubectl.kubectl(
        *("patch", "basemodel", "chat", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    )


def standing(kubectl: Shell, namespace: str) -> dict[str, Any]:
    """Children and statuses, without what differs from place to place and from time to time."""
    told = json.loads(kubectl.kubectl("get", f"{CHILDREN},tunefleet", "-n", namespace, "-o", "json"))["items"]
    return {f"{obj['kind']}/{obj['metadata']['name']}": _timeless(obj) for obj in told}


def _timeless(obj: dict[str, Any]) -> Any:
    dropped = {"metadata", "lastTransitionTime", "since", "time", "data", "uid", "namespace"}

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in dropped}
        return [strip(inner) for inner in value] if isinstance(value, list) else value

    return strip(obj)


@pytest.fixture
def namespaces(kubectl: Shell) -> Iterator[list[str]]:
    """Those that a test has made, deleted with their objects."""
    made: list[str] = []
    yield made
    for name in made:
        kubectl.kubectl("delete", "tunefleet", "--all", "-n", name)
        kubectl.kubectl("delete", "namespace", name, "--wait=false")


async def test_killed_after_any_single_write_it_converges_to_the_same(
    api: Client, kubectl: Shell, namespace: str, namespaces: list[str]
) -> None:
    accept(kubectl, namespace)
    needed = await live(api, namespace)
    wanted = standing(kubectl, namespace)
    assert needed > 8
    for writes in range(1, needed):
        place = f"{namespace}-{writes}"
        kubectl.kubectl("create", "namespace", place)
        namespaces.append(place)
        accept(kubectl, place)
        with pytest.raises(ExceptionGroup) as lost:
            await live(api, place, writes=writes)
        assert lost.group_contains(LeadershipLostError)
        await live(api, place)
        found = standing(kubectl, place)
        assert json.loads(json.dumps(found).replace(place, namespace)) == wanted, f"after {writes} writes"


async def test_what_stands_is_not_written_again(api: Client, kubectl: Shell, namespace: str) -> None:
    accept(kubectl, namespace)
    assert await live(api, namespace) > 0
    assert await live(api, namespace) == 0


async def test_what_somebody_changed_or_deleted_is_put_right(api: Client, kubectl: Shell, namespace: str) -> None:
    accept(kubectl, namespace)
    await live(api, namespace)
    wanted = standing(kubectl, namespace)
    kubectl.kubectl("delete", "secret,networkpolicy,role", "--all", "-n", namespace)
    kubectl.kubectl("patch", "deployment", next(iter(_of(wanted, "Deployment"))), "-n", namespace, "-p",
                    '{"spec":{"replicas":7}}')  # fmt: skip
    await live(api, namespace)
    assert standing(kubectl, namespace) == wanted


def _of(objects: dict[str, Any], kind: str) -> list[str]:
    return [name.partition("/")[2] for name in objects if name.startswith(f"{kind}/")]


async def test_an_object_whose_deletion_nobody_told_of_is_found_out(
    api: Client, kubectl: Shell, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    accept(kubectl, namespace)
    controller = make(api, namespace, Fence(1000))
    await controller.resync()
    kubectl.kubectl("delete", "tunefleet", "--all", "-n", namespace)
    kubectl.kubectl("create", "serviceaccount", "chat-engine", "-n", namespace)  # makes its actions fail
    await work(controller)
    assert controller.store.refs("InferenceEndpoint") == ()


async def test_an_error_of_a_decision_stays_with_its_key(
    api: Client, kubectl: Shell, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    decided: list[str] = []

    def faulty(_facts: Facts, ref: ObjectRef, _now: datetime) -> Plan:
        decided.append(ref.kind)
        if ref.kind == "BaseModel":
            raise ZeroDivisionError("a bug")
        return Plan()

    accept(kubectl, namespace)
    controller = make(api, namespace, Fence(0), decide=faulty)
    await controller.resync()
    await work(controller)
    assert sorted(decided) == ["BaseModel", "InferenceEndpoint"]
    assert "a bug" in caplog.text
