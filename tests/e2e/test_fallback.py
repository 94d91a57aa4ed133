"""An endpoint without an engine is answered for: by llama.cpp's server outside the cluster, and by another endpoint."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from openai import AsyncOpenAI

from dev.servers import llama_cpp
from dev.servers.packages import ensure
from dev.settings import Settings
from tests.artifacts.server_process import free_port, serving

from .fleet import Fleet, base_model, endpoint, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

MODEL, KEY = "tiny-outside", "key-of-the-tests"
NAME = "standby"


@pytest.fixture(scope="module")
def llama(cluster: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base URL, as pods reach this machine."""
    package = ensure(llama_cpp.PACKAGE, cluster.cache)
    directory, host, port = tmp_path_factory.mktemp("llama"), cluster.host_address, free_port()
    with serving(llama_cpp.command(package, directory, host, port, MODEL, KEY), port, directory, host=host):
        yield f"http://{host}:{port}/v1"


@pytest.fixture
def standby(serving: Fleet, llama: str) -> Iterator[Fleet]:
    """An endpoint of its own at zero, that falls back on the server outside; its Secret is still to come."""
    external = {"url": llama, "model": MODEL, "secretRef": {"name": "provider"}}
    serving.apply(
        base_model(NAME, "s3://models/base/v1"),
        endpoint(NAME, NAME, replicas=0, fallback={"external": external}),
    )
    yield serving
    serving.delete([f"inferenceendpoint/{NAME}", f"basemodel/{NAME}", "secret/provider"])


async def who(client: AsyncOpenAI) -> tuple[str, str]:
    """What answers a chat now, without its version, and in whose place."""
    raw = await client.chat.completions.with_raw_response.create(
        model=NAME, messages=[{"role": "user", "content": "Hello"}], max_tokens=4
    )
    return raw.headers["x-tunefleet-model"].partition("@")[0], raw.headers.get("x-tunefleet-fallback", "")


async def until_answered_by(client: AsyncOpenAI, name: str, mark: str) -> None:
    """Every answer on the way is whole: who() raises for any other."""
    while await who(client) != (name, mark):  # noqa: ASYNC110 - what is asked stands in a cluster
        await asyncio.sleep(0.5)


async def test_somebody_answers_at_zero_and_the_endpoint_itself_when_it_is_back(standby: Fleet) -> None:
    told = await asyncio.to_thread(standby.wait_reason, f"inferenceendpoint/{NAME}", "FallbackReady", "SecretNotFound")
    assert "provider" in told
    standby.kubectl("create", "secret", "generic", "provider", f"--from-literal=apiKey={KEY}")
    await asyncio.to_thread(standby.wait_reason, f"inferenceendpoint/{NAME}", "FallbackReady", "Resolved")
    granted = json.loads(standby.kubectl("get", "role", f"{NAME}-fallback", "-o", "json"))
    assert granted["rules"][0]["resourceNames"] == ["provider"]
    client = standby.client()
    await until_answered_by(client, MODEL, f"external/{NAME}")
    standby.kubectl("scale", f"inferenceendpoint/{NAME}", "--replicas=1")
    await until_answered_by(client, NAME, "")
    standby.kubectl("scale", f"inferenceendpoint/{NAME}", "--replicas=0")
    await until_answered_by(client, MODEL, f"external/{NAME}")


async def test_another_endpoint_answers(standby: Fleet) -> None:
    standby.patch(f"inferenceendpoint/{NAME}", {"fallback": {"external": None, "endpointRef": {"name": "tiny-chat"}}})
    await until_answered_by(standby.client(), "tiny-chat", "endpoint/tiny-chat")
    until(
        lambda: not standby.items("role", f"tunefleet.io/endpoint={NAME},app.kubernetes.io/component=gateway"),
        "gateways may no longer read the Secret",
        30,
    )
