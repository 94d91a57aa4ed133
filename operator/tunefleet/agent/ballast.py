"""Keeps the last adapter slot of a CPU engine harmless: an adapter of zeros lives in it for good.

vLLM's CPU kernels read the last slot for tokens without an adapter (they carry the index -1), so a request for the base
that runs beside an adapter's is answered with whatever lies there. Leaving one slot unused is not enough: unloading
frees no slot, so sooner or later an adapter lands in the last one.

At each engine start every slot is filled with zeros, the last one by the keeper. From then on the engine makes room by
evicting the slot that was used longest ago. With at most slots - 1 adapters in use, and the keeper used right before
each load, there is always a slot that was used longer ago than the keeper's: those of adapters that are no longer held.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tunefleet.artifacts.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from tunefleet.artifacts.tensor_names import PEFT_PREFIX
from tunefleet.engine.admin import EngineClient
from tunefleet.engine.errors import EngineError, LoadFault, classify_load_error

PREFIX = "tunefleet-ballast-"

Shapes = Mapping[str, tuple[int, int]]
"""(inputs, outputs) by module, see `Architecture.modules`."""


class NoBallast:
    """For engines whose kernels know a token without an adapter."""

    names: frozenset[str] = frozenset()

    async def fill(self) -> None:
        """Nothing to do."""

    async def touch(self) -> None:
        """Nothing to do."""


class Ballast(NoBallast):
    """Adapters of zeros in one engine."""

    def __init__(
        self, engine: EngineClient, directory: Path, slots: int, modules: Callable[[], Awaitable[Shapes]]
    ) -> None:
        """`modules` may have to wait for the base's files."""
        self._engine = engine
        self._directory = directory
        self._modules = modules
        self._possible = True
        self._ordered = [f"{PREFIX}{slot}" for slot in range(slots)]
        self.names = frozenset(self._ordered)

    async def fill(self) -> None:
        """Fill every slot of an engine that holds no adapter yet. Idempotent. Raises EngineError."""
        modules = await self._modules()
        self._possible = any("*" in module for module in modules)
        if self._possible and not (self._directory / ADAPTER_WEIGHTS).exists():
            await asyncio.to_thread(write_zeros, self._directory, modules)
        for name in self._ordered if self._possible else ():
            await self._load(name)

    async def touch(self) -> None:
        """Make the keeper the slot that was used last. Raises EngineError."""
        if self._possible:
            await self._engine.complete_once(self._ordered[-1])

    async def _load(self, name: str) -> None:
        try:
            await self._engine.load(name, str(self._directory))
        except EngineError as error:
            if classify_load_error(error) is not LoadFault.ALREADY_LOADED:
                raise


def write_zeros(directory: Path, modules: Shapes) -> None:
    """An adapter that changes nothing: one module of the first layer, rank 1, zeros. The others are empty anyway."""
    pattern = min(module for module in modules if "*" in module)
    path, (inputs, outputs) = pattern.replace("*", "0"), modules[pattern]
    directory.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": [path.rpartition(".")[2]], "bias": "none"}
    (directory / ADAPTER_CONFIG).write_text(json.dumps(config))
    tensors = {
        f"{PEFT_PREFIX}{path}.lora_A.weight": np.zeros((1, inputs), np.float32),
        f"{PEFT_PREFIX}{path}.lora_B.weight": np.zeros((outputs, 1), np.float32),
    }
    fresh = directory / f".{ADAPTER_WEIGHTS}"
    save_file(tensors, fresh)
    fresh.chmod(0o644)  # the library makes files that only their owner may read
    fresh.rename(directory / ADAPTER_WEIGHTS)
