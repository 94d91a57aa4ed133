"""adapter_config.json as PEFT writes it and as the engine reads it (vllm/lora/peft_helper.py of vLLM 0.32).

Features that the engine refuses, or passes over although they change the adapter's meaning, are named here; the gate
refuses them. `target_modules` decides nothing in the engine, the tensors' names do: so a pattern or "all-linear" is
accepted as it stands, and only the elements of a plain list are held against the tensors. Types are those that PEFT
writes; the engine takes some others by accident ("yes" for true, 8.0 for 8), which are refused here.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunefleet.api.conditions import Reason

from .errors import ArtifactError
from .patterns import PatternError, Patterns, compile_patterns

MAX_CONFIG_BYTES = 2**20
MAX_RANK = 2**20
"""Above every rank that has a meaning; the gate compares with what engines hold."""

_FILE = "adapter_config.json"
_AGAIN = "save the adapter again with PEFT's save_pretrained."
_LARGEST_FLOAT = sys.float_info.max

_HARMLESS_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Values of init_lora_weights that only choose starting values; others change the base's weights when PEFT loads."""
_REFUSED_SWITCHES = (
    "lora_bias",
    "alora_invocation_tokens",
    "layer_replication",
    "use_bdlora",
    "use_qalora",
    "trainable_token_indices",
    "target_parameters",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
)
"""Fields that mean something else than plain LoRA when they are set; all are refused under their own name."""


@dataclass(frozen=True)
class PeftConfig:
    """The part of adapter_config.json that decides how tensors are applied."""

    rank: int
    alpha: float
    rank_pattern: Patterns
    alpha_pattern: Patterns
    rank_stabilized: bool
    target_modules: tuple[str, ...]
    targets_are_listed: bool
    """False for a pattern and for "all-linear", and where exclude_modules makes the list say less than it seems to."""
    every_layer: bool
    """The list names kinds of modules, and nothing says that only some layers have them."""
    base_model_name: str | None
    features: tuple[str, ...]

    @property
    def highest_rank(self) -> int:
        """What the engine compares with its max rank, whatever the tensors have."""
        return max(self.rank, *map(int, self.rank_pattern.values), 0)

    def rank_and_scaling(self, module: str) -> tuple[int, float]:
        """The configured rank of a module, by its path without PEFT's prefix, and the factor of its B."""
        rank = int(self.rank_pattern.first(module, self.rank))
        alpha = self.alpha_pattern.first(module, self.alpha)
        return rank, alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


def parse_peft_config(raw: bytes) -> PeftConfig:
    """Read adapter_config.json. Raises ArtifactError(ConfigInvalid)."""
    config = json_object("adapter_config.json", raw)
    name = config.get("base_model_name_or_path")
    ranks = _pattern(config, "rank_pattern")
    alphas = _pattern(config, "alpha_pattern")
    if not all(_is_rank(value) for value in ranks.values()):
        raise invalid(f"{_FILE}: every value of rank_pattern must be a positive integer; {_AGAIN}")
    targets = _targets(config.get("target_modules"))
    listed = isinstance(config["target_modules"], list) and not config.get("exclude_modules")
    return PeftConfig(
        rank=_rank(config),
        alpha=_alpha(config, alphas),
        rank_pattern=_compiled("rank_pattern", ranks),
        alpha_pattern=_compiled("alpha_pattern", {key: _number(value) for key, value in alphas.items()}),
        rank_stabilized=_flag(config, "use_rslora"),
        target_modules=targets,
        targets_are_listed=listed,
        every_layer=listed and config.get("layers_to_transform") is None and not any(map(_names_a_layer, targets)),
        base_model_name=name if isinstance(name, str) else None,
        features=tuple(_features(config)),
    )


def json_object(name: str, raw: bytes) -> dict[str, Any]:
    """A file that must be a JSON object. Raises ArtifactError(ConfigInvalid)."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid(f"{name} is not JSON; save the model again.") from error
    if not isinstance(document, dict):
        raise invalid(f"{name} is not a JSON object; save the model again.")
    return document


def invalid(message: str) -> ArtifactError:
    """The configuration file is at fault."""
    return ArtifactError(Reason.CONFIG_INVALID, message)


def _rank(config: Mapping[str, Any]) -> int:
    rank = config.get("r")
    if not _is_rank(rank):
        raise invalid(f"{_FILE}: r, the rank, must be a positive integer; {_AGAIN}")
    return int(rank or 0)


def _is_rank(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_RANK


def _alpha(config: Mapping[str, Any], patterns: Mapping[str, Any]) -> float:
    """Negative is fine for PEFT and the engine: the adapter is subtracted. Zero alone would change nothing."""
    alpha = _number(config.get("lora_alpha"))
    if alpha == 0 and not patterns:
        raise invalid(f"{_FILE}: lora_alpha is 0, so the adapter would change nothing; {_AGAIN}")
    return alpha


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise invalid(f"{_FILE}: lora_alpha and every value of alpha_pattern must be finite numbers; {_AGAIN}")
    return float(value)


def _is_finite(value: float) -> bool:
    return -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT


def _flag(config: Mapping[str, Any], field: str) -> bool:
    value = config.get(field)
    if not isinstance(value, bool | None):
        raise invalid(f"{_FILE}: {field} must be true or false; {_AGAIN}")
    return bool(value)


def _targets(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value:
        return (value,)
    if isinstance(value, list) and value and all(isinstance(element, str) and element for element in value):
        return tuple(sorted(value))
    raise invalid(f"{_FILE}: target_modules must be a list of names, a pattern, or all-linear; {_AGAIN}")


def _names_a_layer(target: str) -> bool:
    return any(part.isdecimal() for part in target.split("."))


def _features(config: Mapping[str, Any]) -> Iterator[str]:
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        yield f"peft_type:{_word(kind)}"
    if config.get("use_dora"):
        yield "dora"
    if (bias := config.get("bias", "none")) != "none":
        yield f"bias:{_word(bias)}"
    modules = config.get("modules_to_save") or []
    for module in modules if isinstance(modules, list) else [modules]:
        yield f"modules_to_save:{_word(module)}"
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _HARMLESS_INITS:
        yield f"init_lora_weights:{_word(init)}"
    yield from (name for name in _REFUSED_SWITCHES if config.get(name))


def _word(value: object) -> str:
    return str(value)[:64] if isinstance(value, str | int | float | None) else type(value).__name__


def _pattern(config: Mapping[str, Any], field: str) -> dict[str, Any]:
    patterns = config.get(field) or {}
    if not isinstance(patterns, dict):
        raise invalid(f"{_FILE}: {field} must map patterns to numbers; {_AGAIN}")
    return patterns


def _compiled(field: str, patterns: Mapping[str, float]) -> Patterns:
    try:
        return compile_patterns(patterns)
    except PatternError as error:
        raise invalid(f"{_FILE}: {field}: {error}; write plain names of modules.") from error
