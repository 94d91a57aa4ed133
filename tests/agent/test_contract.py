"""The dialect that the agent relies on, asserted of the fake engine and of the real one.

The real one is a fresh vLLM in a pod of the local cluster. A running one can be used instead, started with the
arguments of `engine.flags` for 3 slots and max rank 16 on a base of the shapes of `samples.BASE_CONFIG`, if it sees the
files of a directory of this machine at the same path:

    TUNEFLEET_ENGINE_URL=http://… TUNEFLEET_ENGINE_KEY=… TUNEFLEET_ENGINE_BASE=NAME@vN-… TUNEFLEET_ENGINE_FILES=DIR
"""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from dev.images import catalog
from dev.settings import Settings
from tests.agent import real_engine
from tests.agent.fake_engine import BASE, KEY, running_engine
from tests.agent.real_engine import SLOTS, engine_pod
from tests.artifacts.samples import LINEAR, adapter_tensors, write_adapter
from tunefleet.agent.ballast import Ballast, Shapes
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError, LoadFault, classify_load_error
from tunefleet.engine.fingerprint import FLOOR, distance

BASE_MODEL = Path(__file__).parents[2] / "examples" / "models" / "base" / "v1"


@dataclass(frozen=True)
class Engine:
    """An engine, and a directory of this test that it can read."""

    client: EngineClient
    base: str
    files: Path

    @property
    def name(self) -> str:
        """An engine name that no other test uses."""
        return f"contract-{self.files.name}@v1-00000000"

    async def refusal(self, name: str, path: Path) -> EngineError:
        with pytest.raises(EngineError) as refused:
            await self.client.load(name, str(path))
        await self.client.healthy()
        return refused.value


@dataclass(frozen=True)
class Given:
    """A real engine to use."""

    url: str
    key: str
    base: str
    files: Path


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest) -> Iterator[Given]:
    if url := os.environ.get("TUNEFLEET_ENGINE_URL"):
        key, base, files = (os.environ[f"TUNEFLEET_ENGINE_{name}"] for name in ("KEY", "BASE", "FILES"))
        yield Given(url, key, base, Path(files))
        return
    settings: Settings = request.getfixturevalue("cluster")
    catalog.load_all(settings, ["runtime-cpu"])
    with engine_pod(request.getfixturevalue("shell"), catalog.references()["runtime-cpu"], BASE_MODEL) as pod:
        yield Given(pod.url, real_engine.KEY, real_engine.BASE_NAME, pod.files)


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.e2e, pytest.mark.timeout(900)])])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with aiohttp.ClientSession() as session:
        if request.param == "fake":
            async with running_engine() as fake:
                yield Engine(EngineClient(session, fake.url, KEY), BASE, tmp_path)
            return
        given: Given = request.getfixturevalue("real")
        engine = Engine(EngineClient(session, given.url, given.key), given.base, given.files / uuid.uuid4().hex[:8])
        yield engine
        await engine.client.unload(engine.name)


@pytest.mark.e2e
@pytest.mark.parametrize("engine", ["real"], indirect=True)
async def test_on_cpu_the_base_answers_for_itself_beside_adapters_however_many_came_before(engine: Engine) -> None:
    """The first test: it wants an engine that has not loaded anything."""
    if len(await engine.client.models()) > 1:
        pytest.skip("this engine is not fresh")
    alone = await logprobs(engine)
    ballast = Ballast(engine.client, engine.files / "ballast", SLOTS, _modules)
    await ballast.fill()
    held: list[str] = []
    for generation in range(2 * SLOTS):
        name = f"contract-{generation}@v1-00000000"
        path = strong_adapter(engine.files / str(generation), seed=generation)
        await ballast.touch()
        await engine.client.load(name, str(path))
        held.append(name)
        async with contextlib.AsyncExitStack() as streams:
            for other in held:
                response = await streams.enter_async_context(stream(engine, other))
                await response.content.readline()
            assert await logprobs(engine) == pytest.approx(alone, abs=0.02), f"after {generation + 1} loads"
        if len(held) == SLOTS - 1:
            await engine.client.unload(held.pop(0))
    for name in held:
        await engine.client.unload(name)


@pytest.mark.e2e
@pytest.mark.parametrize("engine", ["real"], indirect=True)
async def test_old_streams_on_as_many_generations_as_there_are_slots_let_the_next_one_wait_and_break_nothing(
    engine: Engine,
) -> None:
    """The engine's own word on it is not to be had: its metrics do not name the adapter that waits."""
    names = [f"contract-generation-{number}@v1-00000000" for number in range(SLOTS + 1)]
    for number, name in enumerate(names):
        await engine.client.load(name, str(strong_adapter(engine.files / str(number), seed=number)))
    alone = [await engine.client.figures(name) for name in names]
    async with contextlib.AsyncExitStack() as streams:
        first = contextlib.AsyncExitStack()
        for name in names[:SLOTS]:
            owner = first if name == names[0] else streams
            response = await owner.enter_async_context(stream(engine, name))
            await response.content.readline()
        waiting = asyncio.create_task(engine.client.figures(names[SLOTS]))
        await until_something_waits(engine)
        assert names[SLOTS] not in await engine.client.busy()
        assert not await engine.client.quiet(names[SLOTS])
        for name in names[: SLOTS - 1]:
            await engine.client.unload(name)
        assert not waiting.done()
        await first.aclose()
        assert distance(await waiting, alone[SLOTS]) <= FLOOR
        for name, figures in list(zip(names, alone, strict=True))[SLOTS - 1 :]:
            assert distance(await engine.client.figures(name), figures) <= FLOOR
    for name in names:
        await engine.client.unload(name)


async def until_something_waits(engine: Engine) -> None:
    for _ in range(1000):
        if not await engine.client.quiet("nobody@v1-00000000"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no request waits")


async def _modules() -> Shapes:
    return {"model.layers.*.self_attn.q_proj": (128, 128)}


def strong_adapter(directory: Path, seed: int) -> Path:
    """One that changes every answer."""
    tensors = {key: 8 * value for key, value in adapter_tensors(seed=seed, modules=LINEAR).items()}
    return write_adapter(directory, tensors, target_modules="all-linear")


async def logprobs(engine: Engine) -> list[float]:
    """Log-probabilities of the base's first tokens after a prompt of the test."""
    body = {"model": engine.base, "prompt": "What is this?", "max_tokens": 6, "temperature": 0, "logprobs": 1}
    async with post(engine, body) as response:
        answer = await response.json()
    found: list[float] = answer["choices"][0]["logprobs"]["token_logprobs"]
    return found


def stream(engine: Engine, name: str) -> "aiohttp.client._RequestContextManager":
    """A stream of an adapter that goes on until it is closed."""
    return post(engine, {"model": name, "prompt": "Hi", "max_tokens": 400, "stream": True, "ignore_eos": True})


def post(engine: Engine, body: dict[str, object]) -> "aiohttp.client._RequestContextManager":
    url, headers = f"{engine.client.base_url}/v1/completions", {"Authorization": f"Bearer {engine.client.api_key}"}
    return engine.client.session.post(url, json=body, headers=headers)


async def test_an_engine_says_who_it_is(engine: Engine) -> None:
    assert await engine.client.start_time() > 1.7e9
    assert await engine.client.start_time() == await engine.client.start_time()
    assert (await engine.client.version()).startswith("0.32")
    assert engine.base in await engine.client.models()
    await engine.client.healthy()


async def test_the_base_answers_under_its_engine_name(engine: Engine) -> None:
    await engine.client.complete_once(engine.base)


async def test_figures_tell_an_adapter_from_the_base_and_from_another_and_come_back_the_same(engine: Engine) -> None:
    other = engine.name.replace("contract-", "contract-other-")
    base = await engine.client.figures(engine.base)
    await engine.client.load(engine.name, str(strong_adapter(engine.files / "one", seed=1)))
    await engine.client.load(other, str(strong_adapter(engine.files / "two", seed=2)))
    one, two = await engine.client.figures(engine.name), await engine.client.figures(other)
    assert min(distance(one, base), distance(two, base), distance(one, two)) > 4 * FLOOR
    assert distance(await engine.client.figures(engine.base), base) <= FLOOR
    await engine.client.unload(engine.name)
    await engine.client.unload(other)
    await engine.client.load(other, str(engine.files / "one"))
    assert distance(await engine.client.figures(other), one) <= FLOOR
    await engine.client.unload(other)


async def test_figures_of_an_adapter_of_zeros_are_the_bases(engine: Engine) -> None:
    zeros = {key: np.zeros_like(tensor) for key, tensor in adapter_tensors().items()}
    await engine.client.load(engine.name, str(write_adapter(engine.files, zeros)))
    figures = await engine.client.figures(engine.name)
    assert distance(figures, await engine.client.figures(engine.base)) <= FLOOR


async def test_figures_are_the_same_beside_streams(engine: Engine) -> None:
    await engine.client.load(engine.name, str(strong_adapter(engine.files, seed=3)))
    alone = await engine.client.figures(engine.name)
    async with contextlib.AsyncExitStack() as streams:
        for _ in range(3):
            response = await streams.enter_async_context(stream(engine, engine.name))
            await response.content.readline()
        together = await asyncio.gather(*(engine.client.figures(engine.name) for _ in range(3)))
    assert all(distance(figures, alone) <= FLOOR for figures in together)


async def test_an_adapter_comes_and_goes_under_its_engine_name(engine: Engine) -> None:
    path = write_adapter(engine.files)
    await engine.client.load(engine.name, str(path))
    assert (await engine.client.models())[engine.name] == str(path)
    await engine.client.complete_once(engine.name)
    await engine.client.unload(engine.name)
    assert engine.name not in await engine.client.models()
    with pytest.raises(EngineError) as unknown:
        await engine.client.complete_once(engine.name)
    assert unknown.value.status == 404


async def test_unloading_what_is_not_loaded_is_no_error(engine: Engine) -> None:
    await engine.client.unload(engine.name)


async def test_a_name_that_is_loaded_is_refused_whatever_the_path_is(engine: Engine) -> None:
    path = write_adapter(engine.files)
    await engine.client.load(engine.name, str(path))
    for other in (path, engine.files / "elsewhere"):
        error = await engine.refusal(engine.name, other)
        assert classify_load_error(error) is LoadFault.ALREADY_LOADED


async def test_the_name_of_the_base_is_taken(engine: Engine) -> None:
    error = await engine.refusal(engine.base, write_adapter(engine.files))
    assert (error.status, classify_load_error(error)) == (400, LoadFault.ADAPTER)


async def test_a_path_without_an_adapter(engine: Engine) -> None:
    error = await engine.refusal(engine.name, engine.files / "nowhere")
    assert (error.status, classify_load_error(error)) == (404, LoadFault.ADAPTER)
    assert "No adapter found" in error.message


@pytest.mark.parametrize("fault", ["rank", "config", "weights", "no weights"])
async def test_broken_adapters_are_refused_with_500_and_are_the_adapters_fault(engine: Engine, fault: str) -> None:
    path = (
        write_adapter(engine.files, adapter_tensors(rank=64), r=64) if fault == "rank" else write_adapter(engine.files)
    )
    weights = path / "adapter_model.safetensors"
    match fault:
        case "config":
            (path / "adapter_config.json").write_text("{")
        case "weights":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "no weights":
            weights.unlink()
        case _:
            assert fault == "rank"
    error = await engine.refusal(engine.name, path)
    assert (error.status, classify_load_error(error)) == (500, LoadFault.ADAPTER)
    await engine.client.complete_once(engine.base)


async def test_a_wrong_key(engine: Engine) -> None:
    stranger = EngineClient(engine.client.session, engine.client.base_url, "not-the-key")
    with pytest.raises(EngineError) as refused:
        await stranger.load(engine.name, str(engine.files))
    assert classify_load_error(refused.value) is LoadFault.UNAUTHORIZED


async def test_an_adapter_with_a_stream_is_busy_and_one_without_is_not(engine: Engine) -> None:
    await engine.client.load(engine.name, str(write_adapter(engine.files)))
    assert engine.name not in await engine.client.busy()
    async with stream(engine, engine.name) as response:
        assert response.status == 200
        await response.content.readline()
        assert engine.name in await engine.client.busy()
    for _ in range(200):
        if engine.name not in await engine.client.busy():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the adapter stays busy after its stream has ended")
