"""The gate's verdicts against those of the real engine, for every adapter of the corpus and of the real peft.

Each engine is one of its own: a bad adapter may end it. An adapter is loaded and unloaded, and not asked: that is all
that the admin route promises, and one that holds NaN would spoil what comes after it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from dev.images import catalog
from dev.settings import Settings
from dev.shell import Shell
from tests.agent import real_engine
from tests.agent.real_engine import BASE_NAME, MAX_RANK, RealEngine, engine_pod
from tests.gate import corpus
from tests.gate.peft_data import FAMILIES, SAVED, write_base
from tunefleet.engine import lora_architectures
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

BASE = Path(__file__).parents[2] / "examples" / "models" / "base" / "v1"
TABLES = Path(__file__).parent / "vllm_tables.py"


@contextmanager
def engine(request: pytest.FixtureRequest, base: Path) -> Iterator[RealEngine]:
    """A fresh vLLM on the base."""
    settings: Settings = request.getfixturevalue("cluster")
    catalog.load_all(settings, ["runtime-cpu"])
    with engine_pod(request.getfixturevalue("shell"), catalog.references()["runtime-cpu"], base) as pod:
        yield pod


async def answers(engine: RealEngine, paths: dict[str, Path]) -> dict[str, str]:
    """What the engine does with each adapter; it must outlive all of them."""
    async with aiohttp.ClientSession() as session:
        client = EngineClient(session, engine.url, real_engine.KEY)
        found = {name: await answer(client, name, path) for name, path in paths.items()}
        assert await still_answers(client)
    return found


async def still_answers(client: EngineClient) -> bool:
    """A prompt of tokens that every base has: the tokenizer is one for all of them, and larger than some."""
    body = {"model": BASE_NAME, "prompt": [5, 6, 7], "max_tokens": 1}
    headers = {"Authorization": f"Bearer {client.api_key}"}
    async with client.session.post(f"{client.base_url}/v1/completions", json=body, headers=headers) as response:
        return response.status == 200


async def answer(client: EngineClient, name: str, path: Path) -> str:
    try:
        await client.load(name, str(path))
    except EngineError as error:
        return "refuses" if error.status in {404, 500} else f"answers {error.status}"
    await client.unload(name)
    return "takes"


async def test_the_corpus(request: pytest.FixtureRequest) -> None:
    assert corpus.MAX_RANK == MAX_RANK
    with engine(request, BASE) as pod:
        found = await answers(pod, dict(corpus.write_corpus(pod.files / "corpus")))
        tables = tables_of(request.getfixturevalue("shell"), pod)
    assert found == {case.name: case.engine for case in corpus.CASES}
    assert tables == {name: sorted(getattr(lora_architectures, name.upper())) for name in tables}


def tables_of(shell: Shell, pod: RealEngine) -> dict[str, list[str]]:
    """Which architectures it adapts, as its own source has it."""
    arguments = ("exec", "-i", "-n", pod.namespace, "engine", "--", "/opt/vllm/bin/python", "-")
    found: dict[str, list[str]] = json.loads(shell.kubectl(*arguments, stdin=TABLES.read_text()))
    return found


@pytest.mark.parametrize("family", FAMILIES)
async def test_adapters_of_the_real_peft(family: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    saved = {adapter.name: adapter for adapter in SAVED if adapter.family == family}
    with engine(request, write_base(tmp_path / family, family)) as pod:
        paths = {name: copied(adapter.path, pod.files / name) for name, adapter in saved.items()}
        found = await answers(pod, paths)
    assert found == {name: adapter.engine for name, adapter in saved.items()}


def copied(source: Path, target: Path) -> Path:
    """The files where the engine sees them, readable for all."""
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target
