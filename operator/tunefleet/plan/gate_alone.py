"""Checks of an adapter that need no base: what it is made of. In the order of `gate.BEFORE_BASE` and `AFTER_BASE`."""

from tunefleet.api.conditions import Reason
from tunefleet.engine.flags import LORA_RANKS

from .candidate import Candidate, names
from .finding import Finding


def features_are_plain(candidate: Candidate) -> Finding | None:
    """DoRA, bias, modules_to_save and the like: the engine refuses them, or passes over them."""
    features = candidate.adapter.features
    if not features:
        return None
    return Finding(
        Reason.FEATURE_UNSUPPORTED,
        f"The adapter uses {names(features)}, which the engine cannot apply; train it as plain LoRA "
        "(no DoRA, no bias, no modules_to_save).",
    )


def tensors_are_pairs(candidate: Candidate) -> Finding | None:
    """Every tensor must be half of a LoRA pair, and there must be some."""
    if unexpected := candidate.adapter.unexpected_tensors:
        return Finding(
            Reason.WEIGHTS_INVALID,
            f"The adapter holds tensors that are not LoRA A and B pairs of floats: {names(unexpected)}; "
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
        f"(at {names(adapter.rank_mismatches)}); save the configuration and the weights of one training together.",
    )


def targets_have_tensors(candidate: Candidate) -> Finding | None:
    """A listed target module without any tensor: half of the adapter is missing, or the name is of another base."""
    if not (unmatched := candidate.adapter.unmatched_targets):
        return None
    return Finding(
        Reason.MODULE_UNSUPPORTED,
        f"target_modules of adapter_config.json names {names(unmatched)}, and no tensor adapts it; "
        "take it out of the list, or save the adapter again.",
    )


def rank_fits(candidate: Candidate) -> Finding | None:
    """Every slot has room for the engine's max rank and no more."""
    rank, limit = candidate.adapter.rank, candidate.limits.max_rank
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
    if not (broken := candidate.adapter.non_finite):
        return None
    return Finding(
        Reason.NOT_FINITE, f"{names(broken)} holds NaN or infinity; the training diverged, use an earlier checkpoint."
    )
