"""Keys from the command line to the answer: two gateways with --auth=keys, as the chart makes them."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from openai import AsyncOpenAI

from dev.demo.prepare import ROOT, SYSTEM_NAMESPACE, image_references, service_address
from dev.shell import Shell

from .fleet import Fleet

pytestmark = pytest.mark.e2e

NAMESPACE = "tunefleet-locked"
KEYS_NAMESPACE = "tunefleet-locked-keys"
FOLLOW_SECONDS = 5.0
"""Until every gateway has followed a change; the promise is one second, on a machine that does nothing else."""


@dataclass(frozen=True)
class Locked:
    """Gateways that want keys."""

    shell: Shell
    url: str

    def keys(self, *arguments: str) -> str:
        """`tunefleet keys`."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "tunefleet"), "keys", *arguments, "--keys-namespace", KEYS_NAMESPACE],
            capture_output=True, text=True, check=False, env={"KUBECONFIG": str(self.shell.kubeconfig)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pods(self) -> list[str]:
        """Names of the gateways."""
        found = self.shell.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name", quiet=True)
        return [line.removeprefix("pod/") for line in found.split()]

    def of_pod(self, pod: str, path: str) -> Any:
        """What the admin port of one gateway says."""
        proxied = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9090/proxy{path}"
        return json.loads(self.shell.kubectl("get", "--raw", proxied, quiet=True))

    def address(self, pod: str) -> str:
        """Of one gateway's public port."""
        ip = self.shell.kubectl("get", "pod", "-n", NAMESPACE, pod, "-o", "jsonpath={.status.podIP}", quiet=True)
        return f"http://{ip}:8080"

    @asynccontextmanager
    async def client(self, key: str, *, retries: int = 0, url: str = "") -> AsyncIterator[AsyncOpenAI]:
        async with AsyncOpenAI(
            base_url=f"{url or self.url}/v1", api_key=key, max_retries=retries, timeout=120
        ) as client:
            yield client

    async def known(self, key: str, *, valid: bool) -> float:
        """Seconds until every gateway lets this key in, or does not."""
        started = time.monotonic()
        for pod in self.pods():
            async with self.client(key, url=self.address(pod)) as client, asyncio.timeout(FOLLOW_SECONDS):
                while await _let_in(client) != valid:  # noqa: ASYNC110 - the gateway is another process
                    await asyncio.sleep(0.01)
        return time.monotonic() - started


async def _let_in(client: AsyncOpenAI) -> bool:
    try:
        await client.models.list()
    except openai.AuthenticationError:
        return False
    return True


async def ask(client: AsyncOpenAI, model: str = "german") -> str:
    """The exact version that answered."""
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=2
    )
    return answer.model


@pytest.fixture(scope="module")
def locked(serving: Fleet) -> Iterator[Locked]:
    """A second pair of gateways in a namespace of their own; the operator's stays open for the other tests."""
    shell = serving.shell
    repository, _, tag = image_references().gateway.rpartition(":")
    values = {
        "gateway.auth": "keys", "gateway.keys.namespace": KEYS_NAMESPACE, "gateway.image.repository": repository,
        "gateway.image.tag": tag, "gateway.image.pullPolicy": "Never",
    }  # fmt: skip
    rendered = shell.helm(
        "template", "locked", str(ROOT / "charts" / "tunefleet"), "--namespace", NAMESPACE,
        *(f"--set={name}={value}" for name, value in values.items()),
    )  # fmt: skip
    objects = [found for found in yaml.safe_load_all(rendered) if found and _of_gateway(found)]
    shell.kubectl(
        "apply", "-f", "-", stdin=yaml.safe_dump_all([_namespace(), _fleet_secret(shell), *objects, _binding()])
    )
    shell.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/tunefleet-gateway", "--timeout=120s")
    yield Locked(shell, service_address(shell, NAMESPACE, "tunefleet-gateway"))
    shell.kubectl(
        "delete", "clusterrolebinding/tunefleet-locked", f"namespace/{NAMESPACE}", f"namespace/{KEYS_NAMESPACE}"
    )


def _of_gateway(found: dict[str, Any]) -> bool:
    name: str = found["metadata"]["name"]
    if found["kind"] in {"ClusterRole", "ClusterRoleBinding"}:
        return False
    return name.startswith("tunefleet-gateway") or name == KEYS_NAMESPACE


def _namespace() -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _fleet_secret(shell: Shell) -> dict[str, Any]:
    """The gateways' half of the operator's."""
    found = json.loads(
        shell.kubectl("get", "secret", "tunefleet-fleet", "-n", SYSTEM_NAMESPACE, "-o", "json", quiet=True)
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tunefleet-fleet", "namespace": NAMESPACE},
        "data": {"gatewayKey": found["data"]["gatewayKey"]},
    }


def _binding() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "tunefleet-locked"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tunefleet-gateway"},
        "subjects": [{"kind": "ServiceAccount", "name": "tunefleet-gateway", "namespace": NAMESPACE}],
    }


async def test_a_key_that_was_made_lets_its_holder_in(locked: Locked) -> None:
    async with locked.client("tf_nobody") as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await ask(stranger)
        assert refused.value.code == "invalid_api_key"
        assert refused.value.response.headers["www-authenticate"] == "Bearer"
    key = locked.keys("create", "bot")
    await locked.known(key, valid=True)
    async with locked.client(key) as client:
        assert (await ask(client)).startswith("german@v1-")
        assert {"german", "pirate", "tiny-chat"} <= {model.id async for model in client.models.list()}


async def test_what_is_forbidden_does_not_exist(locked: Locked) -> None:
    key = locked.keys("create", "german-only", "--models", "german")
    await locked.known(key, valid=True)
    async with locked.client(key) as client:
        assert (await ask(client)).startswith("german@v1-")
        assert [model.id async for model in client.models.list()] == ["german"]
        bodies = []
        for name in ("pirate", "nobody"):
            for call in (ask(client, name), client.models.retrieve(name)):
                with pytest.raises(openai.NotFoundError) as refused:
                    await call
                bodies.append(refused.value.response.text.replace(name, "MODEL"))
        assert len(set(bodies)) == 1


async def test_a_key_is_rotated_without_a_failed_request(locked: Locked) -> None:
    """The former one is used all the while, and ends when it is revoked."""
    former = locked.keys("create", "rotating")
    await locked.known(former, valid=True)
    stop, answers = asyncio.Event(), list[str]()

    async def load(key: str) -> None:
        async with locked.client(key) as client:
            while not stop.is_set():
                answers.append(await ask(client))

    async with asyncio.TaskGroup() as running:
        for _ in range(3):
            running.create_task(load(former))
        await asyncio.sleep(0.5)
        new = await asyncio.to_thread(locked.keys, "rotate", "rotating", "--keep", "1h")
        await locked.known(new, valid=True)
        running.create_task(load(new))
        before = len(answers)
        async with asyncio.timeout(60):
            while len(answers) < before + 20:  # noqa: ASYNC110 - no single answer is waited for
                await asyncio.sleep(0.05)
        stop.set()
    shown = json.loads(locked.keys("show", "rotating", "-o", "json"))[0]["keys"]
    locked.keys("revoke", "rotating", "--hash", shown[1]["sha256"][:8])
    print(f"refused everywhere after {await locked.known(former, valid=False):.3f} s")
    assert await locked.known(new, valid=True) < FOLLOW_SECONDS


async def test_a_revoked_key_ends_at_once(locked: Locked) -> None:
    key = locked.keys("create", "leaked")
    await locked.known(key, valid=True)
    async with locked.client(key) as client:
        await ask(client)
        locked.keys("revoke", "leaked")
        print(f"refused everywhere after {await locked.known(key, valid=False):.3f} s")
        with pytest.raises(openai.AuthenticationError):
            await ask(client)


async def test_who_asks_too_often_is_told_when_to_come_again_and_does(locked: Locked) -> None:
    key = locked.keys("create", "eager", "--requests-per-minute", "12")
    await locked.known(key, valid=True)
    async with locked.client(key) as impatient, locked.client(key, retries=2) as patient:
        refused = await _until_refused(impatient, 2 * 12 + 2)
        assert refused.code == "rate_limit_exceeded"
        headers = refused.response.headers
        assert 1 <= int(headers["retry-after"]) <= 5
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("12", "0")
        assert (await ask(patient)).startswith("german@v1-")


async def test_a_limit_holds_for_all_gateways_together(locked: Locked) -> None:
    key = locked.keys("create", "shared", "--requests-per-minute", "3")
    await locked.known(key, valid=True)
    first, second = locked.pods()
    async with locked.client(key, url=locked.address(first)) as client:
        for _ in range(3):
            await ask(client)
    async with asyncio.timeout(FOLLOW_SECONDS):
        while _left(await asyncio.to_thread(locked.of_pod, second, "/v1/usage")) >= 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    async with locked.client(key, url=locked.address(second)) as client:
        with pytest.raises(openai.RateLimitError):
            await ask(client)


async def _until_refused(client: AsyncOpenAI, most: int) -> openai.RateLimitError:
    for _ in range(most):
        try:
            await ask(client)
        except openai.RateLimitError as refused:
            return refused
    raise AssertionError(f"{most} requests were answered")


def _left(usage: Any) -> float:
    left: float = usage["processes"][0]["tenants"]["shared"]["requestsLeft"]
    return left
