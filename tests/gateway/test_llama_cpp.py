"""A fallback that nobody here wrote: llama.cpp's server, through the whole gateway process and the official client."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI

from dev import settings
from dev.cluster.pki import Authority
from dev.servers import llama_cpp
from dev.servers.packages import ensure
from tests.artifacts.server_process import free_port, serving
from tunefleet.gateway.external import AUTHORITY
from tunefleet.gateway.hold import HoldLimits
from tunefleet.gateway.settings import Settings

from .harness import BASE_ENGINE_NAME
from .test_process import BASE, Running, endpoint, pod, put_all, running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
"""The server is installed into the cache, as the cluster's parts are: 20 seconds, 200 MB."""

Json = dict[str, Any]
MODEL = "tiny-outside"
ASK: Json = {"model": "tiny-chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
HOLD = Settings(drain_seconds=5, hold=HoldLimits(seconds=30))


@dataclass(frozen=True)
class Llama:
    """The running server."""

    port: int
    key: str = "key-of-the-tests"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    package = ensure(llama_cpp.PACKAGE, settings.cache_directory())
    directory, server = tmp_path_factory.mktemp("llama"), Llama(free_port())
    command = llama_cpp.command(package, directory, "127.0.0.1", server.port, MODEL, server.key)
    with serving(command, server.port, directory):
        yield server


def falling_back(url: str) -> Json:
    made = endpoint()
    external = {"url": url, "model": MODEL, "secretRef": {"name": "provider", "key": "apiKey"}}
    return {**made, "spec": {**made["spec"], "fallback": {"external": external}}}


def secret(**values: str) -> Json:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return {"metadata": {"name": "provider", "namespace": "ns"}, "data": data}


@asynccontextmanager
async def client(now: Running) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{now.port}/v1", api_key="theirs", max_retries=0) as made:
        yield made


async def who(asking: AsyncOpenAI) -> tuple[str | None, str | None]:
    """What answered a chat, and whether in whose place; the answer was read to its end."""
    raw = await asking.chat.completions.with_raw_response.create(**ASK)
    assert raw.http_response.status_code == 200
    return raw.headers.get("x-tunefleet-model"), raw.headers.get("x-tunefleet-fallback")


async def until(asking: AsyncOpenAI, expected: tuple[str, str | None]) -> None:
    """Ask until this one answers; every answer before is whole as well."""
    async with asyncio.timeout(10):
        while await who(asking) != expected:  # noqa: ASYNC110 - what is asked stands for another process
            await asyncio.sleep(0.01)


OUTSIDE = (MODEL, "external/endpoint")


async def test_it_answers_while_the_endpoint_cannot_and_no_longer(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(monkeypatch, settings=HOLD) as now, client(now) as asking:
        now.api.put("Secret", secret(apiKey=llama.key))
        now.api.put("BaseModel", BASE)
        now.api.put("InferenceEndpoint", falling_back(f"http://localhost:{llama.port}/v1"))
        await now.listening()
        assert await who(asking) == OUTSIDE
        put_all(now)
        now.api.put("InferenceEndpoint", falling_back(f"http://localhost:{llama.port}/v1"))
        await until(asking, (BASE_ENGINE_NAME, None))
        now.api.delete("Pod", pod()["metadata"]["name"])
        await until(asking, OUTSIDE)


async def test_its_answers_are_whole_streamed_or_not(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, settings=HOLD) as now, client(now) as asking:
        now.api.put("Secret", secret(apiKey=llama.key))
        now.api.put("BaseModel", BASE)
        now.api.put("InferenceEndpoint", falling_back(f"http://localhost:{llama.port}"))
        await now.listening()
        answer = await asking.chat.completions.create(**ASK)
        assert answer.model == MODEL
        assert answer.usage is not None
        assert answer.usage.prompt_tokens > 0
        stream = await asking.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.prompt_tokens == answer.usage.prompt_tokens
        completion = await asking.completions.create(model="tiny-chat", prompt="Hello", max_tokens=4)
        assert completion.model == MODEL


async def test_a_wrong_key_is_the_gateways_fault(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, settings=HOLD) as now, client(now) as asking:
        now.api.put("Secret", secret(apiKey="another"))
        now.api.put("BaseModel", BASE)
        now.api.put("InferenceEndpoint", falling_back(f"http://localhost:{llama.port}/v1"))
        await now.listening()
        with pytest.raises(APIStatusError) as refused:
            await who(asking)
        assert (refused.value.status_code, refused.value.code) == (502, "fallback_denied")


async def test_over_tls_with_a_private_authority(llama: Llama, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    async with terminated(authority, llama.port) as port, running(monkeypatch, settings=HOLD) as now:
        now.api.put("Secret", secret(apiKey=llama.key, **{AUTHORITY: authority.pair.certificate.read_text()}))
        now.api.put("BaseModel", BASE)
        now.api.put("InferenceEndpoint", falling_back(f"https://localhost:{port}/v1"))
        await now.listening()
        async with client(now) as asking:
            assert [await who(asking) for _ in range(3)] == [OUTSIDE] * 3


@asynccontextmanager
async def terminated(authority: Authority, behind: int) -> AsyncIterator[int]:
    """TLS in front of a port, as a load balancer terminates it; the port to connect to."""
    pair = authority.server("localhost", [], ["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(_copy(reader, back_writer), _copy(back_reader, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
