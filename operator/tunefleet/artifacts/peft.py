"""adapter_config.json as PEFT writes it and as the engine reads it (vllm/lora/peft_helper.py of vLLM 0.32).

Features that the engine refuses, or passes over although they change the adapter's meaning, are named here; the gate
refuses them. `target_modules` decides nothing in the engine, the tensors' names do: so a pattern or "all-linear" is
accepted as it stands, and only the elements of a plain list are held against the tensors.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunefleet.api.conditions import Reason

from .errors import ArtifactError

MAX_CONFIG_BYTES = 2**20
MAX_PATTERNS = 512
MAX_PATTERN_LENGTH = 256
MAX_QUANTIFIERS = 2

_HARMLESS_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Values of init_lora_weights that only choose starting values; others change the base's weights when PEFT loads."""
_REFUSED_SWITCHES = (
    "lora_bias",
    "alora_invocation_tokens",
    "layer_replication",
    "use_bdlora",
    "use_qalora",
    "trainable_token_indices",
)
"""Fields that mean something else than plain LoRA when they are set; all are refused under their own name."""


@dataclass(frozen=True)
class PeftConfig:
    """The part of adapter_config.json that decides how tensors are applied."""

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    rank_stabilized: bool
    target_modules: tuple[str, ...]
    targets_are_listed: bool
    """False for a pattern and for "all-linear", and where exclude_modules makes the list say less than it seems to."""
    base_model_name: str | None
    features: tuple[str, ...]

    def rank_of(self, module: str) -> int:
        """The configured rank of a module, by its path without PEFT's prefix."""
        return int(_match(self.rank_pattern, module, self.rank))

    def scaling_of(self, module: str) -> float:
        """The factor that B is multiplied by."""
        rank = self.rank_of(module)
        alpha = float(_match(self.alpha_pattern, module, self.alpha))
        return alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


def parse_peft_config(raw: bytes) -> PeftConfig:
    """Read adapter_config.json. Raises ArtifactError(ConfigInvalid)."""
    config = json_object("adapter_config.json", raw)
    targets = config.get("target_modules")
    rank_pattern = _pattern(config, "rank_pattern")
    if not all(_is_rank(value) for value in rank_pattern.values()):
        raise invalid("adapter_config.json: every value of rank_pattern must be a positive integer")
    name = config.get("base_model_name_or_path")
    return PeftConfig(
        rank=_rank(config),
        alpha=_alpha(config.get("lora_alpha")),
        rank_pattern=rank_pattern,
        alpha_pattern={key: _alpha(value) for key, value in _pattern(config, "alpha_pattern").items()},
        rank_stabilized=config.get("use_rslora") is True,
        target_modules=_targets(targets),
        targets_are_listed=isinstance(targets, list) and not config.get("exclude_modules"),
        base_model_name=name if isinstance(name, str) else None,
        features=tuple(_features(config)),
    )


def json_object(name: str, raw: bytes) -> dict[str, Any]:
    """A file that must be a JSON object. Raises ArtifactError(ConfigInvalid)."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid(f"{name} is not JSON; save the model again") from error
    if not isinstance(document, dict):
        raise invalid(f"{name} is not a JSON object; save the model again")
    return document


def invalid(message: str) -> ArtifactError:
    """The configuration file is at fault."""
    return ArtifactError(Reason.CONFIG_INVALID, message)


def _rank(config: Mapping[str, Any]) -> int:
    rank = config.get("r")
    if not _is_rank(rank):
        raise invalid("adapter_config.json: r, the rank, must be a positive integer")
    return int(rank or 0)


def _is_rank(value: object) -> bool:
    return type(value) is int and 0 < value < 2**16


def _alpha(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid("adapter_config.json: lora_alpha and every value of alpha_pattern must be finite numbers")
    return float(value)


def _targets(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value:
        return (value,)
    if isinstance(value, list) and value and all(isinstance(element, str) for element in value):
        return tuple(sorted(value))
    raise invalid("adapter_config.json: target_modules must be a list of names, a pattern, or all-linear")


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
    return str(value)[:64]


def _pattern(config: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A mapping of regular expressions, bounded: the engine evaluates them too, for every tensor."""
    patterns = config.get(field) or {}
    if not isinstance(patterns, dict) or len(patterns) > MAX_PATTERNS:
        raise invalid(f"adapter_config.json: {field} must map at most {MAX_PATTERNS} patterns to numbers")
    for key in patterns:
        _require_tame(field, key)
    return patterns


def _require_tame(field: str, pattern: str) -> None:
    """Refuse patterns whose matching can take exponential time: a repeated group, or many repetitions."""
    plain = re.sub(r"\\.", "", pattern)
    quantifiers = len(re.findall(r"[*+{]", plain))
    if len(pattern) > MAX_PATTERN_LENGTH or quantifiers > MAX_QUANTIFIERS or re.search(r"\)[*+{]", plain):
        raise invalid(f"adapter_config.json: the {field} key {pattern[:80]!r} is too complex; write plain module names")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise invalid(f"adapter_config.json: the {field} key {pattern[:80]!r} is not a regular expression") from error


def _match(patterns: Mapping[str, float], module: str, default: float) -> float:
    """PEFT's rule: a key matches a whole module path, or its end from a dot on; the first one wins."""
    for key, value in patterns.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default
