"""May this adapter be loaded on this base? Ordered checks, each with its own reason; the first finding wins.

An engine accepts most broken adapters in silence: tensors of modules, layers or paths that it does not have are passed
over, so the base would answer in the adapter's name; a wrong rank scales wrongly; NaN spoils the neighbours' answers.
Nothing here is asked of the engine. The base's name in the adapter's configuration decides nothing (people rename
directories), the shapes do; the name is mentioned where the shapes disagree.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import AdapterFacts
from tunefleet.engine.flags import LORA_RANKS

from .finding import Finding


@dataclass(frozen=True)
class Limits:
    """What the engines that shall carry the adapter can hold."""

    max_rank: int = LORA_RANKS[-1]
    """Highest rank; the endpoint's, or the engine's when no endpoint carries it yet."""


@dataclass(frozen=True)
class Candidate:
    """One adapter against one base."""

    adapter: AdapterFacts
    base: Architecture
    limits: Limits


Check = Callable[[Candidate], Finding | None]

LARGEST = {"float16": 65504.0}
"""Largest finite value by dtype of the base; bfloat16 and float32 reach LARGEST_BFLOAT16."""
LARGEST_BFLOAT16 = 3.3895313892515355e38


def check_adapter(adapter: AdapterFacts, base: Architecture, limits: Limits = Limits()) -> Finding | None:
    """The first reason why the adapter may not be loaded on the base, or None when it may."""
    candidate = Candidate(adapter, base, limits)
    return next((finding for check in CHECKS if (finding := check(candidate)) is not None), None)


def features_are_plain(candidate: Candidate) -> Finding | None:
    """DoRA, bias, modules_to_save and the like: the engine refuses them, or passes over them."""
    features = candidate.adapter.features
    if not features:
        return None
    return Finding(
        Reason.FEATURE_UNSUPPORTED,
        f"The adapter uses {_names(features)}, which the engine cannot apply; train it as plain LoRA "
        "(no DoRA, no bias, no modules_to_save).",
    )


def tensors_are_pairs(candidate: Candidate) -> Finding | None:
    """Every tensor must be half of a LoRA pair, and there must be some."""
    if unexpected := candidate.adapter.unexpected_tensors:
        return Finding(
            Reason.WEIGHTS_INVALID,
            f"The adapter holds tensors that are not LoRA A and B pairs of floats: {_names(unexpected)}; "
            "save it with PEFT's save_pretrained, without merging or renaming.",
        )
    if candidate.adapter.rank == 0:
        return Finding(
            Reason.WEIGHTS_INVALID, "The adapter holds no LoRA tensor, so it would change nothing; save it again."
        )
    return None


def rank_is_as_configured(candidate: Candidate) -> Finding | None:
    """The engine scales by the configured rank, whatever the tensors have."""
    adapter = candidate.adapter
    if not adapter.rank_mismatches:
        return None
    ranks = " and ".join(map(str, adapter.ranks))
    return Finding(
        Reason.RANK_MISMATCH,
        f"adapter_config.json says r={adapter.configured_rank} and the tensors have rank {ranks} "
        f"(at {_names(adapter.rank_mismatches)}); configuration and weights are of different trainings.",
    )


def modules_fit(candidate: Candidate) -> Finding | None:
    """A module that the base has must have the base's inputs and outputs."""
    base = candidate.base.modules
    for module, shape in sorted(candidate.adapter.modules.items()):
        if module in base and tuple(base[module]) != tuple(shape):
            return _wrong_base(
                candidate, f"{module} is {shape[0]} x {shape[1]} in the adapter and "
                f"{base[module][0]} x {base[module][1]} in the base"
            )  # fmt: skip
    if mixed := candidate.adapter.mixed_modules:
        return _wrong_base(candidate, f"{_names(mixed)} has different sizes in different layers")
    return None


def some_module_is_known(candidate: Candidate) -> Finding | None:
    """No module at all in common: the adapter is of another architecture, or its paths are of another class."""
    base, modules = candidate.base.modules, candidate.adapter.modules
    if not base or any(module in base for module in modules):
        return None
    return _wrong_base(candidate, f"it adapts {_names(tuple(sorted(modules)))} and the base has none of these")


def layers_exist(candidate: Candidate) -> Finding | None:
    """The engine passes over tensors of layers that the base does not have."""
    if candidate.adapter.layers <= candidate.base.layers:
        return None
    return _wrong_base(
        candidate, f"it has tensors for {candidate.adapter.layers} layers and the base has {candidate.base.layers}"
    )


def modules_are_supported(candidate: Candidate) -> Finding | None:
    """Every adapted module must exist in the base, by its whole path."""
    base = candidate.base
    if not base.modules:
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The base's weights are packed ({base.quantization or 'unknown quantization'}), so no adapter can be "
            "checked against it; use a base whose weights are not packed.",
        )
    unknown = tuple(module for module in sorted(candidate.adapter.modules) if module not in base.modules)
    if unknown:
        return Finding(
            Reason.MODULE_UNSUPPORTED,
            f"The base has no module {_names(unknown)}, or the engine cannot adapt it; the base's are "
            f"{_names(tuple(sorted(base.modules)), at_most=12)}.",
        )
    return None


def targets_have_tensors(candidate: Candidate) -> Finding | None:
    """A listed target module without any tensor: half of the adapter is missing, or the name is of another base."""
    if not (unmatched := candidate.adapter.unmatched_targets):
        return None
    return Finding(
        Reason.MODULE_UNSUPPORTED,
        f"target_modules of adapter_config.json names {_names(unmatched)}, and no tensor adapts it; "
        "take it out of the list, or save the adapter again.",
    )


def rank_fits(candidate: Candidate) -> Finding | None:
    """Every slot has room for the engine's max rank and no more."""
    rank, limit = max(candidate.adapter.rank, candidate.adapter.configured_rank), candidate.limits.max_rank
    if rank <= limit:
        return None
    advice = (
        "no engine holds more; train it with a lower rank"
        if limit >= LORA_RANKS[-1]
        else "raise spec.adapters.maxRank of the InferenceEndpoint, or train it with a lower rank"
    )
    return Finding(Reason.RANK_TOO_HIGH, f"The adapter has rank {rank} and at most {limit} fits: {advice}.")


def values_are_finite(candidate: Candidate) -> Finding | None:
    """One NaN spoils the answers to requests that run beside it."""
    if names := candidate.adapter.non_finite:
        return Finding(
            Reason.NOT_FINITE,
            f"{_names(names)} holds NaN or infinity; the training diverged, use an earlier checkpoint.",
        )
    limit = LARGEST.get(candidate.base.dtype, LARGEST_BFLOAT16)
    if candidate.adapter.largest > limit:
        return Finding(
            Reason.NOT_FINITE,
            f"A scaled weight of {candidate.adapter.largest:.3g} becomes infinite in {candidate.base.dtype}; "
            "check lora_alpha, or train again.",
        )
    return None


CHECKS: tuple[Check, ...] = (
    features_are_plain,
    tensors_are_pairs,
    rank_is_as_configured,
    some_module_is_known,
    modules_fit,
    layers_exist,
    modules_are_supported,
    targets_have_tensors,
    rank_fits,
    values_are_finite,
)
"""In this order: what makes the other facts meaningless comes first, what is dearest to find comes last."""


def _wrong_base(candidate: Candidate, detail: str) -> Finding:
    name = candidate.adapter.base_model_name
    trained = f" adapter_config.json names {name} as its base." if name else ""
    return Finding(
        Reason.WRONG_BASE,
        f"The adapter was made for another base: {detail}.{trained} Set baseModelRef and baseModelVersion to the one "
        "that it was trained on.",
    )


def _names(names: tuple[str, ...], at_most: int = 3) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
