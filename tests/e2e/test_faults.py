"""After a fault everything comes back without a hand, and while it lasts whoever can answer does so, rightly."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from dev.demo.load import Question
from dev.demo.prepare import MODELS, SYSTEM_NAMESPACE, model_store, service_address
from dev.demo.scenario import LONG, LONG_TOKENS, SHORT
from dev.demo.verdict import is_wrong, judge
from dev.settings import Settings
from tunefleet.api.names import AGENT_PORT

from .faults import (
    KILL_ENGINE_CORE,
    STRANGER,
    StallingStorage,
    asked_of_stranger,
    frozen_api_server,
    kill_container,
    opens_the_agent,
    script_pod,
)
from .fleet import Fleet, adapter, assert_clean, first_since, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ENGINES = "tunefleet.io/endpoint=tiny-chat,tunefleet.io/base-model-version=1"
ADAPTERS = ("german", "formal", "pirate")
SHORT_QUESTIONS = [Question(model, SHORT) for model in ADAPTERS]
LONG_QUESTIONS = [Question(model, LONG, LONG_TOKENS) for model in ADAPTERS]
RATE = 5.0


def engine_pod(fleet: Fleet) -> dict[str, Any]:
    """The one that nobody deleted."""
    (pod,) = (p for p in fleet.items("pods", ENGINES) if "deletionTimestamp" not in p["metadata"])
    return pod


def restarts(pod: dict[str, Any], container: str) -> int:
    """Of a container."""
    statuses = [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    count: int = next(s["restartCount"] for s in statuses if s["name"] == container)
    return count


def assert_never_wrong(fleet: Fleet, answers: Any) -> None:
    """Requests may fail while the only engine is dead; none may be answered by other weights."""
    assert judge(answers, fleet.expected).wrong == 0


async def assert_every_adapter_answers(fleet: Fleet) -> None:
    """Rightly."""
    load = fleet.load()
    for model in ADAPTERS:
        answer = await load.ask(Question(model, SHORT))
        assert not answer.error
        assert not is_wrong(answer, fleet.expected)


@pytest.fixture
def lost_source(fleet: Fleet) -> Iterator[None]:
    """The bytes of pirate are gone from their source until the test is over."""
    store = model_store(service_address(fleet.shell, fleet.namespace, "storage"))
    files = [path for path in sorted((MODELS / "pirate" / "v1").iterdir()) if path.is_file()]
    for path in files:
        store.delete(str(path.relative_to(MODELS)))
    yield
    for path in files:
        store.put(str(path.relative_to(MODELS)), path)


@pytest.fixture
def stalling(serving: Fleet) -> Iterator[StallingStorage]:
    """A storage whose weights nobody can read yet."""
    storage = StallingStorage(serving)
    yield storage
    serving.delete(["loraadapter/slow"])
    storage.remove()


@pytest.mark.usefixtures("lost_source")
async def test_an_engine_that_dies_in_place_gets_its_adapters_back_though_a_source_is_gone(serving: Fleet) -> None:
    """Its container restarts, its pod stays, and so do the files on it."""
    pod = engine_pod(serving)
    name, before = pod["metadata"]["name"], restarts(pod, "engine")
    load = serving.load()
    async with load.running(SHORT_QUESTIONS, RATE, LONG_QUESTIONS):
        await first_since(load, "pirate@v1")
        serving.kubectl("exec", name, "-c", "engine", "--", "python3", "-c", KILL_ENGINE_CORE)
        restarted = f"jsonpath={{.status.containerStatuses[?(@.name=='engine')].restartCount}}={before + 1}"
        await asyncio.to_thread(serving.wait, f"pod/{name}", restarted)
        await asyncio.to_thread(serving.wait, f"pod/{name}", "condition=Ready", 180)
        for model in ADAPTERS:
            await first_since(load, f"{model}@v1")
    assert_never_wrong(serving, load.answers)
    await assert_every_adapter_answers(serving)


async def test_a_pod_that_is_killed_while_it_loads_comes_back_with_everything(
    serving: Fleet, stalling: StallingStorage
) -> None:
    """While a source stalls the others are served. The pod dies in the middle of the transfer."""
    slow = adapter("slow", "s3://models/shout/v1")
    slow["spec"]["versions"][0]["source"]["secretRef"] = {"name": stalling.secret}
    serving.apply(slow)
    await asyncio.to_thread(until, stalling.waiting, "the weights are being read", 60)
    await assert_every_adapter_answers(serving)
    assert serving.condition("loraadapter/slow", "Ready")["reason"] in {"Inspecting", "Loading"}
    pod = engine_pod(serving)["metadata"]["name"]
    serving.kubectl("delete", f"pod/{pod}", "--grace-period=0", "--force")
    await asyncio.to_thread(stalling.go_on)
    await asyncio.to_thread(serving.wait, "inferenceendpoint/tiny-chat", "jsonpath={.status.readyReplicas}=1", 180)
    for model in (*ADAPTERS, "slow"):
        await asyncio.to_thread(serving.wait, f"loraadapter/{model}", "condition=Ready", 60)
    await assert_every_adapter_answers(serving)
    answer = await serving.load().ask(Question("slow", SHORT))
    assert answer.text.strip() == serving.expected["shout@v1"][SHORT].strip()


async def test_a_killed_agent_is_replaced_and_no_request_fails(serving: Fleet, cluster: Settings) -> None:
    """The engine goes on with what it holds; the new agent finds it there and takes orders."""
    pod = engine_pod(serving)
    before = restarts(pod, "agent")
    load = serving.load()
    async with load.running(SHORT_QUESTIONS, RATE, LONG_QUESTIONS):
        await first_since(load, "german@v1")
        await asyncio.to_thread(kill_container, cluster, pod, "agent")
        restarted = f"jsonpath={{.status.initContainerStatuses[?(@.name=='agent')].restartCount}}={before + 1}"
        await asyncio.to_thread(serving.wait, f"pod/{pod['metadata']['name']}", restarted)
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 2})
        await first_since(load, "german@v2")
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 1})
        await first_since(load, "german@v1")
    assert_clean(load, serving, least=10)


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
    await assert_every_adapter_answers(serving)


async def test_gateways_that_restart_amid_promotions_cut_nothing(serving: Fleet) -> None:
    """Both are replaced, one after the other, while versions go up and down and streams run."""
    gateway = ("-n", SYSTEM_NAMESPACE, "deployment/tunefleet-gateway")
    load = serving.load()
    async with load.running(SHORT_QUESTIONS, RATE, LONG_QUESTIONS):
        await first_since(load, "german@v1")
        serving.shell.kubectl("rollout", "restart", *gateway, quiet=True)
        rolled = asyncio.create_task(
            asyncio.to_thread(serving.shell.kubectl, "rollout", "status", *gateway, "--timeout=120s", quiet=True)
        )
        while not rolled.done():
            for number in (2, 1):
                await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": number})
                await first_since(load, f"german@v{number}")
        await rolled
    assert_clean(load, serving, least=10)


async def test_without_an_api_server_requests_go_on_and_patches_are_followed_when_it_is_back(
    serving: Fleet, cluster: Settings
) -> None:
    load = serving.load()
    async with load.running(SHORT_QUESTIONS, RATE, LONG_QUESTIONS):
        await first_since(load, "german@v1")
        with frozen_api_server(cluster):
            await asyncio.sleep(30)  # the time is the fault
            await first_since(load, "german@v1", 20)
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 2})
        await first_since(load, "german@v2")
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 1})
        await first_since(load, "german@v1")
    assert_clean(load, serving, least=100)


@pytest.fixture
def stranger(serving: Fleet) -> Iterator[str]:
    """The address of a pod that looks like the engine's, in a namespace of its own."""
    metadata = engine_pod(serving)["metadata"]
    alike = {name: metadata[name] for name in ("labels", "annotations")}
    other = f"{serving.namespace}-other"
    kubectl = serving.shell.kubectl
    kubectl("create", "namespace", other, quiet=True)
    pod = script_pod("stranger", STRANGER, AGENT_PORT, **alike)
    kubectl("apply", "-n", other, "-f", "-", stdin=json.dumps(pod), quiet=True)
    kubectl("wait", "-n", other, "pod/stranger", "--for=condition=Ready", "--timeout=60s", quiet=True)
    yield kubectl("get", "-n", other, "pod/stranger", "-o", "jsonpath={.status.podIP}", quiet=True)
    kubectl("delete", "pod", "-n", other, "stranger", "--grace-period=0", "--force", quiet=True)
    kubectl("delete", "namespace", other, "--wait", quiet=True)


async def test_a_pod_of_another_namespace_with_the_same_labels_gets_no_request_and_no_order(
    serving: Fleet, stranger: str
) -> None:
    """Its agent may be asked what it holds, with words that open no other one."""
    load = serving.load()
    async with load.running(SHORT_QUESTIONS, 20.0):
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 2})
        await first_since(load, "german@v2")
        await asyncio.to_thread(serving.patch, "loraadapter/german", {"activeVersion": 1})
        await first_since(load, "german@v1")
    assert_clean(load, serving, least=10)
    real = engine_pod(serving)["status"]["podIP"]
    for asked in asked_of_stranger(stranger):
        assert (asked.method, asked.path) == ("GET", "/v1/adapters")
        assert not opens_the_agent(real, asked.authorization)
