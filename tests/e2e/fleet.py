"""What the end-to-end tests do with a cluster: kubectl as a person would use it, and the official client."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from openai import AsyncOpenAI

from dev.demo.load import Answer, Load
from dev.demo.verdict import Expected, Verdict, judge
from dev.shell import Shell

KINDS = "inferenceendpoint,loraadapter,basemodel"


@dataclass(frozen=True)
class Fleet:
    """One namespace of a cluster that Tunefleet serves."""

    shell: Shell
    namespace: str
    gateway: str
    expected: Expected
    clients: list[AsyncOpenAI] = field(default_factory=list)
    """Clients that the running test has opened."""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.shell.kubectl("-n", self.namespace, *arguments, stdin=stdin, quiet=True)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def patch(self, target: str, spec: Mapping[str, Any]) -> None:
        """One merge patch of a spec: `loraadapter/german`, {"activeVersion": 2}."""
        self.kubectl("patch", target, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def get(self, target: str) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", target, "-o", "json"))
        return found

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"]
        return items

    def wait(self, target: str, condition: str, seconds: int = 90) -> None:
        """kubectl wait --for=CONDITION; raises with the object's conditions when the time is over."""
        try:
            self.kubectl("wait", target, f"--for={condition}", f"--timeout={seconds}s")
        except Exception as error:
            raise AssertionError(f"{target} did not reach {condition}:\n{self.kubectl('describe', target)}") from error

    def wait_reason(self, target: str, type_: str, reason: str, seconds: int = 90) -> str:
        """Wait until the condition has this reason; give its message."""
        self.wait(target, f"jsonpath={{.status.conditions[?(@.type=='{type_}')].reason}}={reason}", seconds)
        return self.condition(target, type_)["message"]

    def condition(self, target: str, type_: str) -> dict[str, str]:
        """One condition; empty when absent."""
        conditions = self.get(target).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    def delete(self, targets: Iterable[str]) -> None:
        """kubectl delete, waiting."""
        for target in targets:
            self.kubectl("delete", target, "--ignore-not-found", "--wait")

    def load(self) -> Load:
        """A load through the gateway; the client never retries, so that nothing is hidden."""
        return Load(self.client())

    def client(self) -> AsyncOpenAI:
        """The official client on the gateway, without retries."""
        self.clients.append(AsyncOpenAI(base_url=f"{self.gateway}/v1", api_key="open", max_retries=0, timeout=120))
        return self.clients[-1]

    async def close_clients(self) -> None:
        """Close every client of the test that ends."""
        while self.clients:
            await self.clients.pop().close()


def until(holds: Callable[[], bool], what: str, seconds: float) -> None:
    """For what neither kubectl nor the load can wait for. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.5)


async def first_since(load: Load, version: str, seconds: float = 120) -> Answer:
    """The first answer of a version to a request that starts from now on."""
    now = load.clock()
    return await asyncio.wait_for(load.first(lambda a: a.version == version and a.started > now), seconds)


def assert_clean(load: Load, fleet: Fleet, least: int) -> None:
    """Nothing failed, nothing was wrong, nothing broke, and enough was asked to say so."""
    verdict = judge(load.answers, fleet.expected)
    bad = [a for a in load.answers if a.error or not a.finished][:3]
    assert verdict == Verdict(verdict.requests, failed=0, wrong=0, broken_streams=0), bad
    assert verdict.requests >= least


def base_model(name: str, *uris: str) -> dict[str, Any]:
    """A BaseModel with one version a URI."""
    return _object("BaseModel", name, {"versions": [_version(n, uri) for n, uri in enumerate(uris, 1)]})


def adapter(
    name: str, *uris: str, base: str = "tiny-chat", base_version: int = 1, active: int = 1, **spec: Any
) -> dict[str, Any]:
    """A LoRAAdapter with one version a URI."""
    versions = [{**_version(n, uri), "baseModelVersion": base_version} for n, uri in enumerate(uris, 1)]
    return _object(
        "LoRAAdapter", name,
        {"baseModelRef": {"name": base}, "activeVersion": active, "versions": versions, **spec},
    )  # fmt: skip


def endpoint(name: str, base: str = "tiny-chat", version: int = 1, **spec: Any) -> dict[str, Any]:
    """An InferenceEndpoint on CPU."""
    return _object(
        "InferenceEndpoint", name,
        {
            "model": {"name": base, "version": version},
            "engine": {"maxModelLength": 2048, "maxConcurrentRequests": 16},
            "accelerator": {"resourceName": "cpu"},
            **spec,
        },
    )  # fmt: skip


def _version(number: int, uri: str) -> dict[str, Any]:
    source: dict[str, Any] = {"uri": uri}
    if not uri.startswith("pvc://"):
        source["secretRef"] = {"name": "model-storage"}
    return {"version": number, "source": source}


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "tunefleet.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
