"""Plans carried out against a real API server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dev.shell import Shell
from tests.reconcile.fake_agent import Agent, serving
from tests.reconcile.objects import SETTINGS, pod
from tunefleet.api.conditions import Reason
from tunefleet.api.names import MANAGED_BY, MANAGER
from tunefleet.engine.adapters_api import DesiredAdapter
from tunefleet.kube.client import Client
from tunefleet.kube.events import Recorder
from tunefleet.kube.fence import LeadershipLostError, Unfenced
from tunefleet.kube.writer import Writer
from tunefleet.plan.facts import InspectionRequest, Key, Manifest, ObjectRef
from tunefleet.plan.plan import Deletion, Event, Plan, StatusPatch
from tunefleet.reconcile.agents import Agents
from tunefleet.reconcile.execute import CLASH_SECONDS, ActionsFailedError, Executor
from tunefleet.reconcile.metrics import Metrics
from tunefleet.reconcile.queue import WorkQueue
from tunefleet.reconcile.store import Store, ref_of

pytestmark = pytest.mark.apiserver

ADDRESS = "127.0.79.1"


class Fence:
    """Allows so many writes."""

    def __init__(self) -> None:
        self.left = 1000

    def remaining(self) -> float:
        self.left -= 1
        return 10.0 if self.left >= 0 else 0.0


class World:
    """The least that an executor changes."""

    def __init__(self) -> None:
        self.store = Store(SETTINGS)
        self.asked: asyncio.Queue[ObjectRef] = asyncio.Queue()
        self.queue: WorkQueue[ObjectRef] = WorkQueue(self._work, Metrics())

    async def _work(self, ref: ObjectRef) -> float | None:
        self.asked.put_nowait(ref)
        return None

    async def next_asker(self) -> ObjectRef:
        """Who is worked on next."""
        running = asyncio.create_task(self.queue.run())
        async with asyncio.timeout(10):
            asker = await self.asked.get()
        self.queue.stop()
        await running
        return asker

    def observe(self, obj: Manifest) -> None:
        self.store.put(obj)

    def forget(self, ref: ObjectRef, uid: str) -> None:
        self.store.remove(ref, uid)


class Bench:
    """An executor with what it works on, and one BaseModel that asks."""

    def __init__(self, api: Client, namespace: str, port: int) -> None:
        self.fence, self.world, self.namespace = Fence(), World(), namespace
        self.agents = Agents(self.world.store, lambda _key: None, port=port)
        recorder = Recorder(api, Unfenced(), "tests")
        self.executor = Executor(Writer(api, self.fence), recorder, self.agents, self.world)
        self.asker = ObjectRef("BaseModel", namespace, "chat")

    def child(self, name: str, **extra: Any) -> dict[str, Any]:
        """A ServiceAccount of ours."""
        metadata = {"name": name, "namespace": self.namespace, "labels": {MANAGED_BY: MANAGER}}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **extra}

    def ref(self, name: str) -> ObjectRef:
        """Of such a child."""
        return ObjectRef("ServiceAccount", self.namespace, name)

    def uid(self, ref: ObjectRef) -> str:
        """Of an object that is known."""
        seen = self.world.store.seen(ref)
        assert seen
        return seen.uid

    def status(self, message: str) -> StatusPatch:
        """Of the BaseModel."""
        return StatusPatch(
            self.asker, {"observedGeneration": 1, "versions": [{"version": 1, "message": message}], "conditions": []}
        )

    def event(self) -> Event:
        """About the BaseModel."""
        return Event(self.asker, self.uid(self.asker), "Normal", Reason.ACCEPTED, "every version was read")


@pytest.fixture
async def bench(api: Client, kubectl: Shell, namespace: str, unused_tcp_port: int) -> AsyncIterator[Bench]:
    """The BaseModel exists and is known."""
    made = Bench(api, namespace, unused_tcp_port)
    spec = {"versions": [{"version": 1, "source": {"uri": "pvc://models/base"}}]}
    obj = {
        "apiVersion": "tunefleet.io/v1alpha1",
        "kind": "BaseModel",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": spec,
    }
    kubectl.kubectl("apply", "-f", "-", stdin=json.dumps(obj))
    made.world.store.put(read(kubectl, made.asker))
    yield made
    await made.executor.close()
    await made.agents.close()


def read(kubectl: Shell, ref: ObjectRef) -> dict[str, Any]:
    """An object as it stands."""
    found: dict[str, Any] = json.loads(
        kubectl.kubectl("get", ref.kind.lower(), ref.name, "-n", ref.namespace, "-o", "json")
    )
    return found


def names(kubectl: Shell, kind: str, namespace: str) -> set[str]:
    """Objects of a kind."""
    return set(kubectl.kubectl("get", kind, "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}").split())


async def test_a_whole_plan(bench: Bench, kubectl: Shell, namespace: str) -> None:
    await bench.executor.execute(bench.asker, Plan(apply=(bench.child("old"),)))
    plan = Plan(
        delete=(Deletion(bench.ref("old"), bench.uid(bench.ref("old"))),),
        apply=(bench.child("new"),),
        statuses=(bench.status("fine"),),
        events=(bench.event(),),
        requeue_after=30.0,
    )
    assert await bench.executor.execute(bench.asker, plan) == 30.0
    assert names(kubectl, "serviceaccount", namespace) == {"new"}
    assert read(kubectl, bench.asker)["status"]["versions"][0]["message"] == "fine"
    assert "every version was read" in kubectl.kubectl("get", "events", "-n", namespace)
    assert bench.world.store.seen(bench.ref("new"))
    assert not bench.world.store.seen(bench.ref("old"))


async def test_what_fails_does_not_keep_the_rest_from_being_done(bench: Bench, kubectl: Shell, namespace: str) -> None:
    plan = Plan(
        apply=(bench.child("Not A Name"), bench.child("good")),
        assignments={Key(namespace, "no-such-pod"): ()},
        statuses=(bench.status("told all the same"),),
    )
    with pytest.raises(ActionsFailedError) as failed:
        await bench.executor.execute(bench.asker, plan)
    assert "Not A Name" in str(failed.value)
    assert "no-such-pod" in str(failed.value)
    assert names(kubectl, "serviceaccount", namespace) == {"good"}
    assert read(kubectl, bench.asker)["status"]["versions"][0]["message"] == "told all the same"


async def test_a_status_that_was_decided_on_an_old_state_is_not_written(bench: Bench, kubectl: Shell) -> None:
    kubectl.kubectl("label", "basemodel", "chat", "-n", bench.namespace, "somebody=wrote")
    with pytest.raises(ActionsFailedError, match="changed meanwhile"):
        await bench.executor.execute(bench.asker, Plan(statuses=(bench.status("stale"),), events=(bench.event(),)))
    assert "versions" not in read(kubectl, bench.asker)["status"]
    assert "every version was read" not in kubectl.kubectl("get", "events", "-n", bench.namespace)


async def test_a_name_is_taken_again_only_after_it_is_free(bench: Bench, kubectl: Shell, namespace: str) -> None:
    await bench.executor.execute(bench.asker, Plan(apply=(bench.child("child"),)))
    old = bench.uid(bench.ref("child"))
    plan = Plan(delete=(Deletion(bench.ref("child"), old),), apply=(bench.child("child"),), requeue_after=60)
    assert await bench.executor.execute(bench.asker, plan) == CLASH_SECONDS
    assert names(kubectl, "serviceaccount", namespace) == set()


async def test_somebody_elses_object_stays_and_the_user_is_told(bench: Bench, kubectl: Shell, namespace: str) -> None:
    kubectl.kubectl("create", "serviceaccount", "child", "-n", namespace)
    with pytest.raises(ActionsFailedError, match="not made by Tunefleet"):
        await bench.executor.execute(bench.asker, Plan(apply=(bench.child("child"),)))
    assert "labels" not in read(kubectl, bench.ref("child"))["metadata"]
    assert "rename or delete it" in kubectl.kubectl("get", "events", "-n", namespace)


async def test_losing_the_lease_ends_the_plan_where_it_is(bench: Bench, kubectl: Shell, namespace: str) -> None:
    bench.fence.left = 1
    with pytest.raises(LeadershipLostError):
        await bench.executor.execute(
            bench.asker,
            Plan(apply=(bench.child("a"), bench.child("b"), bench.child("c")), statuses=(bench.status("x"),)),
        )
    assert names(kubectl, "serviceaccount", namespace) == {"a"}


async def test_a_deletion_of_what_is_gone_is_no_failure(bench: Bench, kubectl: Shell, namespace: str) -> None:
    await bench.executor.execute(bench.asker, Plan(apply=(bench.child("child"),)))
    kubectl.kubectl("delete", "serviceaccount", "child", "-n", namespace)
    plan = Plan(delete=(Deletion(bench.ref("child"), bench.uid(bench.ref("child"))),))
    assert await bench.executor.execute(bench.asker, plan) is None


async def test_a_status_of_an_object_that_is_gone_is_no_failure(bench: Bench, kubectl: Shell) -> None:
    kubectl.kubectl("delete", "basemodel", "chat", "-n", bench.namespace)
    assert await bench.executor.execute(bench.asker, Plan(statuses=(bench.status("too late"),))) is None


async def test_agents_get_their_orders_and_questions(bench: Bench, unused_tcp_port: int) -> None:
    agent = Agent("chat@v1-abababab")
    bench.world.store.put(pod(ip=ADDRESS))
    request = InspectionRequest("ns", "pvc://models/german")
    held = DesiredAdapter(engine_name="german@v1-abababab", uri=request.uri, digest="sha256:" + "ab" * 32, rank=8)
    key = Key("ns", "pod")
    async with serving(agent, ADDRESS, unused_tcp_port):
        await bench.executor.execute(bench.asker, Plan(assignments={key: (held,)}, inspections={request: key}))
        assert bench.world.store.inspections[request].finished is None
        assert await bench.world.next_asker() == bench.asker
    answer = bench.world.store.inspections[request]
    assert answer.result is not None
    assert answer.result.adapter is not None
    assert agent.held == [held.dump()]


async def test_a_question_without_an_answer_is_an_answer_too(bench: Bench) -> None:
    bench.world.store.put(pod(ip=ADDRESS))
    request = InspectionRequest("ns", "pvc://models/german")
    await bench.executor.execute(bench.asker, Plan(inspections={request: Key("ns", "pod")}))
    assert await bench.world.next_asker() == bench.asker
    assert "agent of ns/pod" in bench.world.store.inspections[request].error


async def test_of_a_refused_secret_only_the_reason_is_told(bench: Bench) -> None:
    secret = bench.child("child", kind="Secret", type="kubernetes.io/tls", stringData={"tls.key": "hush-hush"})
    with pytest.raises(ActionsFailedError) as failed:
        await bench.executor.execute(bench.asker, Plan(apply=(secret,)))
    assert str(failed.value) == f"Secret {ref_of(secret).namespace}/child: 422 Invalid"
