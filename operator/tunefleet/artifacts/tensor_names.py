"""Names of tensors as paths of modules: which module, which layer, which half of a LoRA pair.

Mirrors vllm/lora/utils.py (parse_fine_tuned_lora_name, is_base_embedding_weights) of vLLM 0.32: what that cannot parse
is unexpected here.
"""

from dataclasses import dataclass
from typing import Literal

PEFT_PREFIX = "base_model.model."
MAX_NAME = 256
"""Characters of a tensor's name; real ones have about 80."""
MAX_PARTS = 24
"""Dots in a tensor's name; real ones have about 10."""
MAX_INDEX = 9
"""Digits of an index in a path."""

_HALVES: tuple[tuple[str, Literal["A", "B"], bool], ...] = (
    (".lora_A.weight", "A", False),
    (".lora_B.weight", "B", False),
    (".lora_embedding_A", "A", True),
    (".lora_embedding_B", "B", True),
)
_BASE_EMBEDDINGS = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")


@dataclass(frozen=True)
class LoraName:
    """A tensor's name taken apart."""

    module: str
    """Path of the adapted module without PEFT's prefix, such as model.layers.0.self_attn.q_proj."""
    half: Literal["A", "B"]
    embedding: bool
    """True for an embedding's pair, whose A is (rank, vocabulary)."""


def parse_lora_name(name: str) -> LoraName | None:
    """The parts of a LoRA tensor's name, or None when the engine would not know what to do with it."""
    if len(name) > MAX_NAME or name.count(".") > MAX_PARTS or not name.isprintable():
        return None
    for suffix, half, embedding in _HALVES:
        if name.endswith(suffix):
            module = name.removeprefix(PEFT_PREFIX).removesuffix(suffix)
            return LoraName(module, half, embedding) if module else None
    return None


def is_base_embedding(name: str) -> bool:
    """PEFT saves the base's own embeddings beside an adapter of them; the engine passes over these."""
    return name.endswith(_BASE_EMBEDDINGS)


def module_pattern(module: str) -> str:
    """A module's path with `*` for every index: model.layers.*.self_attn.q_proj."""
    return ".".join("*" if _is_index(part) else part for part in module.split("."))


def layer_index(module: str) -> int | None:
    """The first index in a module's path, which is its layer's, or None for modules outside of layers."""
    return next((int(part) for part in module.split(".") if _is_index(part)), None)


def expert_index(module: str) -> int | None:
    """The index of an expert in a mixture, or None for modules outside of experts."""
    _, found, rest = module.partition(".experts.")
    index = rest.partition(".")[0]
    return int(index) if found and _is_index(index) else None


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= MAX_INDEX
