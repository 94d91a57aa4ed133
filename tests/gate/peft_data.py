"""Adapters that the real peft saved (`peft_models.py`), and their bases."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.gate.corpus import Answer, packed
from tunefleet.api.conditions import Reason

DATA = Path(__file__).parent / "data"
MANIFEST: dict[str, Any] = json.loads((DATA / "manifest.json").read_text())
TOKENIZER = Path(__file__).parents[2] / "examples" / "models" / "base" / "v1"


@dataclass(frozen=True)
class Saved:
    """One adapter."""

    family: str
    name: str
    reason: Reason | None
    """Why the gate refuses it; None when it takes it."""
    engine: Answer
    """What vLLM 0.32 does with it."""

    @property
    def path(self) -> Path:
        """Its directory."""
        return DATA / self.family / self.name

    def __str__(self) -> str:
        return f"{self.family}-{self.name}"


_REFUSED = {
    ("llama", "dora"): Reason.FEATURE_UNSUPPORTED,
    ("llama", "pissa"): Reason.FEATURE_UNSUPPORTED,
    ("llama", "bias"): Reason.FEATURE_UNSUPPORTED,
    ("llama", "head-in-full"): Reason.FEATURE_UNSUPPORTED,
    ("llama", "tokens"): Reason.FEATURE_UNSUPPORTED,
    ("llama", "parameters"): Reason.FEATURE_UNSUPPORTED,
    ("llama", "added-tokens"): Reason.WRONG_BASE,
    ("mistral", "embeddings"): Reason.MODULE_UNSUPPORTED,
}
_TAKEN_BY_THE_ENGINE = {("llama", "parameters")}

SAVED = tuple(
    Saved(
        family,
        name,
        _REFUSED.get((family, name)),
        "refuses" if (family, name) in _REFUSED.keys() - _TAKEN_BY_THE_ENGINE else "takes",
    )
    for family, names in MANIFEST["adapters"].items()
    for name in names
)
FAMILIES = tuple(MANIFEST["adapters"])


def write_base(directory: Path, family: str) -> Path:
    """The base as transformers saved it, with zeros for weights and the tokenizer of an example."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(DATA / family / "base" / "config.json", directory)
    for path in TOKENIZER.glob("*token*"):
        shutil.copy(path, directory)
    shapes: dict[str, list[int]] = json.loads((DATA / family / "base" / "shapes.json").read_text())
    header, position = {}, 0
    for name, shape in shapes.items():
        end = position + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (directory / "model.safetensors").write_bytes(packed(text + b" " * (-len(text) % 8), bytes(position)))
    return directory
