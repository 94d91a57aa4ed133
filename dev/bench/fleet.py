"""What the bench serves: one engine, adapters on it, and the load that they are under."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes import client, config
from openai import AsyncOpenAI
from rich.console import Console

from dev.demo.load import Answer, Load, Question
from dev.demo.prepare import NAMESPACE
from dev.demo.scenario import LONG, LONG_TOKENS, SHORT
from dev.shell import Shell

from .weights import References

RATE = 20.0
"""Requests a second, over all adapters."""
STREAMS = 8
"""Long streams of the adapter that changes, each one after the other. They take all that the engine's one thread
gives; two cores carry no more of them beside the API server, the gateways and the client."""
CHANGING, STAYING = "german", "formal"
ADAPTERS = (CHANGING, STAYING)
VERSIONS = {CHANGING: ("german@v1", "german@v2"), STAYING: ("formal@v1",)}
QUESTIONS = (SHORT, "What colour is the sky?")
ENDPOINT = "tiny-chat"
ENGINES = f"tunefleet.io/endpoint={ENDPOINT},app.kubernetes.io/component=engine"
GROUP, API_VERSION = "tunefleet.io", "v1alpha1"


@dataclass(frozen=True)
class Fleet:
    """The cluster, and how to reach what runs in it."""

    shell: Shell
    console: Console
    gateway: str
    """http://HOST:PORT."""
    custom: client.CustomObjectsApi
    core: client.CoreV1Api

    def load(self) -> Load:
        """A load with the official client; it never retries, so that nothing is hidden."""
        return Load(AsyncOpenAI(base_url=f"{self.gateway}/v1", api_key="open", max_retries=0, timeout=180))

    def patch(self, plural: str, name: str, spec: Mapping[str, Any]) -> None:
        """What `kubectl patch --type merge` sends, without the start of a kubectl process."""
        self.custom.patch_namespaced_custom_object(GROUP, API_VERSION, NAMESPACE, plural, name, {"spec": spec})

    def create_adapter(self, name: str, *uris: str) -> None:
        """What `kubectl apply` of a new LoRAAdapter sends."""
        self.custom.create_namespaced_custom_object(GROUP, API_VERSION, NAMESPACE, "loraadapters", adapter(name, *uris))

    def delete_adapter(self, name: str) -> None:
        """And its deletion."""
        self.custom.delete_namespaced_custom_object(GROUP, API_VERSION, NAMESPACE, "loraadapters", name)

    def wait(self, target: str, condition: str, seconds: int = 300) -> None:
        """kubectl wait --for=CONDITION."""
        self.shell.kubectl(
            "wait", "-n", NAMESPACE, target, f"--for={condition}", f"--timeout={seconds}s", quiet=True
        )  # fmt: skip


def fleet_of(shell: Shell, console: Console, gateway: str) -> Fleet:
    """Connect to the API server, too."""
    connection = config.new_client_from_config(str(shell.kubeconfig))
    return Fleet(shell, console, gateway, client.CustomObjectsApi(connection), client.CoreV1Api(connection))


def apply(fleet: Fleet) -> None:
    """Apply the objects and wait until everything is Ready."""
    objects = [
        _object("BaseModel", ENDPOINT, {"versions": [_version("s3://models/base/v1", 1)]}),
        _object("InferenceEndpoint", ENDPOINT, _endpoint()),
        adapter(CHANGING, "s3://models/german/v1", "s3://models/german/v2"),
        adapter(STAYING, "s3://models/formal/v1"),
    ]
    fleet.shell.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump_all(objects), quiet=True)
    for target in (f"inferenceendpoint/{ENDPOINT}", *(f"loraadapter/{name}" for name in ADAPTERS)):
        fleet.wait(target, "condition=Ready")


def adapter(name: str, *uris: str) -> dict[str, Any]:
    """A LoRAAdapter with one version a URI."""
    versions = [{**_version(uri, number), "baseModelVersion": 1} for number, uri in enumerate(uris, 1)]
    return _object("LoRAAdapter", name, {"baseModelRef": {"name": ENDPOINT}, "activeVersion": 1, "versions": versions})


def _endpoint() -> dict[str, Any]:
    return {
        "model": {"name": ENDPOINT, "version": 1},
        "engine": {"maxModelLength": 2048, "maxConcurrentRequests": 32},
        "accelerator": {"resourceName": "cpu"},
        "adapters": {"slots": 8},
        "replicas": 1,
    }


def _version(uri: str, number: int) -> dict[str, Any]:
    return {"version": number, "source": {"uri": uri, "secretRef": {"name": "model-storage"}}}


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/{API_VERSION}", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def short_questions() -> list[Question]:
    """Asked round and round."""
    return [Question(model, text, logprobs=True) for text in QUESTIONS for model in ADAPTERS]


def long_questions() -> list[Question]:
    """One for each stream."""
    return [Question(CHANGING, LONG, LONG_TOKENS, logprobs=True)] * STREAMS


async def take_references(fleet: Fleet) -> References:
    """Every version's answer to every question of the load, one at a time, while nothing else runs."""
    load, found = fleet.load(), dict[str, dict[str, Any]]()
    for name, versions in VERSIONS.items():
        for number, version in [*enumerate(versions, 1)][::-1]:
            await asyncio.to_thread(fleet.patch, "loraadapters", name, {"activeVersion": number})
            target = f"loraadapter/{name}"
            await asyncio.to_thread(fleet.wait, target, f"jsonpath={{.status.servingVersion}}={number}")
            await asyncio.to_thread(fleet.wait, target, "condition=Ready")
            found[version] = {q.text: (await _alone(load, q, version)).tokens for q in _distinct(name)}
    return found


def _distinct(model: str) -> set[Question]:
    return {question for question in (*short_questions(), *long_questions()) if question.model == model}


async def _alone(load: Load, question: Question, version: str) -> Answer:
    """Raises RuntimeError unless this very version answers within ten requests."""
    answers = list[Answer]()
    for _ in range(10):
        answers.append(await load.ask(question))
        if answers[-1].finished and answers[-1].version == version and answers[-1].tokens:
            return answers[-1]
    raise RuntimeError(f"{version} does not answer while nothing else runs: {answers[-1]}")
