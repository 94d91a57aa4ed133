"""The facts of an adapter whose files are on the disk: configuration, tensors, and whether all of them are finite."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import AdapterFacts

from .digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from .errors import ArtifactError
from .finite import FLOAT_FORMATS, largest_magnitude
from .header import LENGTH_BYTES, Tensor, header_length, parse_header
from .layers import incomplete_experts, layer_count, missing_in_layers
from .patterns import MAX_COST
from .peft import MAX_CONFIG_BYTES, PeftConfig, invalid, parse_peft_config
from .tensor_names import LoraName, expert_index, is_base_embedding, module_pattern, parse_lora_name

MAX_HEADER_BYTES = 32 * 2**20
"""Of an adapter's safetensors header: 94 thousand tensors of a large mixture of experts take 14 MB."""
MAX_NAMED = 5
"""Names given as examples in the facts."""
MAX_EXAMPLE = 120
"""Characters of such a name."""
MAX_MODULES = 32
"""Kinds of modules that an adapter may have; real ones have about 7."""
MAX_TARGETS = 32


@dataclass
class _Module:
    """The two halves of one adapted module, as they are found."""

    a: Tensor | None = None
    b: Tensor | None = None
    embedding: bool = False


@dataclass
class _Found:
    """What the tensors' names and headers say."""

    modules: dict[str, _Module] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    vocabulary: int | None = None


def read_adapter(directory: Path) -> AdapterFacts:
    """Read an adapter's files. Raises ArtifactError when they are missing, unreadable or not what they claim to be."""
    config = parse_peft_config(_read_config(directory / ADAPTER_CONFIG))
    path = directory / ADAPTER_WEIGHTS
    tensors = _header(path)
    found = _sort_out(tensors)
    _require_bounded_matching(config, found)
    magnitudes = {tensor.name: largest_magnitude(path, tensor) for tensor in tensors if tensor.dtype in FLOAT_FORMATS}
    return _facts(config, tensors, found, magnitudes)


def _read_config(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        raise invalid(f"{ADAPTER_CONFIG} is missing; set the URI to the directory that PEFT saved.") from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise invalid(f"{ADAPTER_CONFIG} is larger than {MAX_CONFIG_BYTES} bytes; save it with PEFT's save_pretrained.")
    return raw


def _header(path: Path) -> tuple[Tensor, ...]:
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = header_length(ADAPTER_WEIGHTS, size, stream.read(LENGTH_BYTES), MAX_HEADER_BYTES)
            return parse_header(ADAPTER_WEIGHTS, size, stream.read(length))
    except FileNotFoundError as error:
        raise ArtifactError(
            Reason.WEIGHTS_INVALID, f"{ADAPTER_WEIGHTS} is missing; save the adapter with safe_serialization=True."
        ) from error


def _sort_out(tensors: Iterable[Tensor]) -> _Found:
    found = _Found()
    for tensor in tensors:
        if is_base_embedding(tensor.name):
            found.vocabulary = tensor.shape[0] if tensor.shape else 0
            continue
        name = parse_lora_name(tensor.name)
        if name is None or tensor.dtype not in FLOAT_FORMATS or len(tensor.shape) != 2 or 0 in tensor.shape:
            found.unexpected.append(tensor.name)
        else:
            _place(found, name, tensor)
    for path, module in found.modules.items():
        if module.a is None or module.b is None:
            found.unexpected.append(f"{path} (only half of a pair)")
    return found


def _place(found: _Found, name: LoraName, tensor: Tensor) -> None:
    module = found.modules.setdefault(name.module, _Module(embedding=name.embedding))
    if module.embedding != name.embedding or getattr(module, name.half.lower()) is not None:
        found.unexpected.append(tensor.name)
    elif name.half == "A":
        module.a = tensor
    else:
        module.b = tensor


def _facts(
    config: PeftConfig, tensors: tuple[Tensor, ...], found: _Found, magnitudes: Mapping[str, float]
) -> AdapterFacts:
    pairs = {path: (m.a, m.b) for path, m in found.modules.items() if m.a is not None and m.b is not None}
    ranks = sorted({rank for a, b in pairs.values() for rank in (a.shape[0], b.shape[1])})
    rules = {path: config.rank_and_scaling(path) for path in pairs}
    shapes = _shapes({path: (a.shape[1], b.shape[0]) for path, (a, b) in pairs.items()})
    return AdapterFacts(
        rank=max(ranks[-1], config.highest_rank) if ranks else 0,
        ranks=tuple(ranks),
        configured_rank=config.rank,
        target_modules=_targets(config),
        unmatched_targets=_unmatched(config, pairs),
        modules={path: sizes.pop() for path, sizes in shapes.items() if len(sizes) == 1},
        mixed_modules=_examples(path for path, sizes in shapes.items() if len(sizes) > 1),
        rank_mismatches=_rank_mismatches(rules, pairs),
        layers=layer_count(pairs),
        every_layer=config.every_layer,
        missing_in_layers=_examples(missing_in_layers(pairs)) if config.every_layer else (),
        experts=max((index + 1 for path in pairs if (index := expert_index(path)) is not None), default=0),
        incomplete_experts=_examples(incomplete_experts(pairs)),
        vocabulary=found.vocabulary,
        base_model_name=config.base_model_name and _printable(config.base_model_name)[:200],
        features=_examples(config.features),
        non_finite=_examples(name for name, value in magnitudes.items() if math.isinf(value)),
        largest=_largest(rules, pairs, magnitudes),
        unexpected_tensors=_examples(found.unexpected),
        tensors=len(tensors),
    )


_Pairs = Mapping[str, tuple[Tensor, Tensor]]


def _shapes(sizes: Mapping[str, tuple[int, int]]) -> dict[str, set[tuple[int, int]]]:
    """Kinds of modules with every (inputs, outputs) that they have in some layer."""
    shapes: dict[str, set[tuple[int, int]]] = {}
    for path, size in sorted(sizes.items()):
        shapes.setdefault(module_pattern(path), set()).add(size)
    if len(shapes) > MAX_MODULES:
        raise ArtifactError(
            Reason.WEIGHTS_INVALID,
            f"{ADAPTER_WEIGHTS} adapts {len(shapes)} kinds of modules and at most {MAX_MODULES} are known; "
            "save it with the names that PEFT gives.",
        )
    return shapes


def _targets(config: PeftConfig) -> tuple[str, ...]:
    """Names for people: the last part of listed paths, or the pattern."""
    if not config.targets_are_listed and len(config.target_modules) == 1:
        return _examples(config.target_modules)
    last = {_printable(target).rpartition(".")[2][:40] for target in config.target_modules}
    return tuple(sorted(last))[:MAX_TARGETS]


def _examples(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_printable(name)[:MAX_EXAMPLE] for name in islice(names, MAX_NAMED))


def _printable(text: str) -> str:
    """A stranger's words reach logs and terminals: no control characters, nothing that UTF-8 cannot say."""
    return text if text.isprintable() else ascii(text[:MAX_EXAMPLE])


def _unmatched(config: PeftConfig, pairs: _Pairs) -> tuple[str, ...]:
    if not config.targets_are_listed:
        return ()
    missing = (t for t in config.target_modules if not any(p == t or p.endswith(f".{t}") for p in pairs))
    return _examples(missing)


_Rules = Mapping[str, tuple[int, float]]


def _rank_mismatches(rules: _Rules, pairs: _Pairs) -> tuple[str, ...]:
    wrong = (path for path, (a, b) in pairs.items() if {a.shape[0], b.shape[1]} != {rules[path][0]})
    return _examples(wrong)


def _largest(rules: _Rules, pairs: _Pairs, magnitudes: Mapping[str, float]) -> float:
    """The engine stores A, and B times its scaling, in the base's dtype."""
    scaled = (max(magnitudes[a.name], magnitudes[b.name] * abs(rules[path][1])) for path, (a, b) in pairs.items())
    return max((value for value in scaled if math.isfinite(value)), default=0.0)


def _require_bounded_matching(config: PeftConfig, found: _Found) -> None:
    """Every pattern is matched with every module, here and in the engine."""
    cost = config.rank_pattern.cost(found.modules) + config.alpha_pattern.cost(found.modules)
    if cost > MAX_COST:
        raise invalid(
            f"{ADAPTER_CONFIG}: rank_pattern and alpha_pattern have too many or too complex keys for "
            f"{len(found.modules)} modules; write plain names of modules."
        )
