"""Create new adapters, each of bytes that nobody has seen, and wait for their first answers."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import deserialize
from safetensors.numpy import save_file

from dev.demo.load import Answer, Load, Question, Token
from dev.demo.prepare import MODELS, NAMESPACE, service_address, upload_models
from dev.demo.scenario import SHORT

from .fleet import ENDPOINT, Fleet
from .weights import TOLERANCE, distance

PATIENCE = 60.0
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Applied:
    """One new adapter."""

    seconds: float
    """Before the API server was called, to the end of the first answer."""
    refused: int
    """Requests until then that were answered with an error: nobody knew the name yet, or no engine held it."""
    wrong: bool
    """Whether the first answer came from other weights than its later ones, or from the base's."""


def upload_variants(fleet: Fleet, count: int, run: str) -> list[str]:
    """Put `count` adapters of different weights into the cluster's S3 server; give their URIs."""
    with tempfile.TemporaryDirectory() as directory:
        for number in range(count):
            _write_variant(Path(directory) / f"new-{run}-{number}" / "v1", seed=number)
        upload_models(service_address(fleet.shell, NAMESPACE, "storage"), Path(directory))
    return [f"s3://models/new-{run}-{number}/v1" for number in range(count)]


def _write_variant(folder: Path, seed: int) -> None:
    """german's first version with noise on it: same shapes and size, another adapter."""
    source, noise = MODELS / "german" / "v1", np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_bytes((source / "adapter_config.json").read_bytes())
    trained: list[tuple[str, dict[str, Any]]] = deserialize((source / WEIGHTS).read_bytes())  # type: ignore[no-untyped-call,unused-ignore]
    tensors = {name: _noisy(tensor, noise) for name, tensor in trained}
    save_file(tensors, folder / WEIGHTS)


def _noisy(tensor: dict[str, Any], noise: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
    """NumPy knows no bfloat16: it is the upper half of a float32."""
    bits = np.frombuffer(tensor["data"], np.uint16).astype(np.uint32) << 16
    values = bits.view(np.float32).reshape(tensor["shape"])
    noisy: np.ndarray[Any, np.dtype[np.float32]] = values + noise.normal(0, 0.3 * values.std(), values.shape)
    return noisy.astype(np.float32)


async def apply_one(fleet: Fleet, probe: Load, name: str, uri: str) -> Applied:
    """Create it, ask until it answers, look at the answer, and delete it."""
    question, created = Question(name, SHORT, logprobs=True), probe.clock()
    creating = asyncio.create_task(asyncio.to_thread(fleet.create_adapter, name, uri))
    try:
        async with asyncio.timeout(PATIENCE):
            first, refused = await _first_answer(probe, question)
        later = await probe.ask(question)
        base = await probe.ask(Question(ENDPOINT, SHORT, logprobs=True))
    finally:
        await creating
        await asyncio.to_thread(fleet.delete_adapter, name)
    return Applied(first.ended - created, refused, not _same(first.tokens, later.tokens, base.tokens))


def _same(first: tuple[Token, ...], later: tuple[Token, ...], base: tuple[Token, ...]) -> bool:
    return distance(first, later) <= TOLERANCE < distance(first, base)


async def _first_answer(probe: Load, question: Question) -> tuple[Answer, int]:
    """Asks again at once: a refusal costs a millisecond, and a client would see it."""
    refused = 0
    while (answer := await probe.ask(question)).error:
        refused += 1
        await asyncio.sleep(0.02)
    return answer, refused
