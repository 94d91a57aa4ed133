"""One name for a module of a base with a vision or audio tower, whose language model goes by several.

Repositories name it `language_model.model.layers` or, since transformers 4.52, `model.language_model.layers`, and PEFT
writes the one of the version that trained. vLLM 0.32 takes both for every such class (`hf_to_vllm_mapper`), and
`model.layers` where the weights of the class are called so. A base without a tower has one name for each module.
"""

from collections.abc import Mapping
from dataclasses import replace

from .candidate import Pair

TOWERS = frozenset(
    {
        "audio_tower",
        "embed_audio",
        "embed_vision",
        "multi_modal_projector",
        "vision_model",
        "vision_tower",
        "visual",
    }
)
"""Parts of paths of what is not the language model. Engines adapt it only with --enable-tower-connector-lora."""

_INNER, _NESTED, _PLAIN, _HEAD = "language_model.model.", "model.language_model.", "model.", "lm_head"

Modules = Mapping[str, tuple[int, int]]


def in_tower(module: str) -> bool:
    """Whether a module is of a tower, or between one and the language model."""
    return not TOWERS.isdisjoint(module.split("."))


def aligned(pair: Pair) -> Pair:
    """The same pair, with one name for each module of the language model."""
    base = pair.base.modules
    if not any(map(in_tower, base)):
        return pair
    plain = any(module.startswith(f"{_PLAIN}layers.") for module in base)
    return replace(
        pair,
        adapter=pair.adapter.model_copy(update={"modules": _renamed(pair.adapter.modules, plain)}),
        base=pair.base.model_copy(update={"modules": _renamed(base, plain)}),
    )


def _renamed(modules: Modules, plain: bool) -> dict[str, tuple[int, int]]:
    return {_canonical(module, plain): shape for module, shape in modules.items()}


def _canonical(module: str, plain: bool) -> str:
    if in_tower(module):
        return module
    if module == _HEAD:
        return f"language_model.{_HEAD}"
    for prefix in (_NESTED, _PLAIN) if plain else (_NESTED,):
        if module.startswith(prefix):
            return _INNER + module.removeprefix(prefix)
    return module
