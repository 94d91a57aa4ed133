"""May this adapter be loaded on this base? Ordered checks, each with its own reason; the first finding wins.

An engine accepts most broken adapters in silence: tensors of modules, layers or paths that it does not have are passed
over, so the base would answer in the adapter's name; a wrong rank scales wrongly; NaN spoils the neighbours' answers.
Nothing here is asked of the engine. The base's name in the adapter's configuration decides nothing (people rename
directories), the shapes do; the name is mentioned where the shapes disagree.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tunefleet.api.base_model import Architecture
from tunefleet.api.inspection import AdapterFacts

from . import gate_alone, gate_pair
from .candidate import AloneCheck, Candidate, Limits, Pair, PairCheck
from .finding import Finding
from .gate_paths import aligned

__all__ = ["Limits", "Verdict", "check_adapter", "verdicts"]

BEFORE_BASE: tuple[AloneCheck, ...] = (
    gate_alone.features_are_plain,
    gate_alone.tensors_are_pairs,
    gate_alone.rank_is_as_configured,
)
"""What makes the other facts meaningless comes first."""
AGAINST_BASE: tuple[PairCheck, ...] = (
    gate_pair.base_takes_adapters,
    gate_pair.some_module_is_known,
    gate_pair.modules_fit,
    gate_pair.modules_are_supported,
    gate_pair.layers_exist,
    gate_pair.experts_are_whole,
    gate_pair.every_layer_is_adapted,
    gate_pair.vocabulary_is_the_bases,
    gate_pair.values_fit_the_dtype,
)
AFTER_BASE: tuple[AloneCheck, ...] = (
    gate_alone.targets_have_tensors,
    gate_alone.rank_fits,
    gate_alone.values_are_finite,
)

DEFAULT_LIMITS = Limits()

Judged = TypeVar("Judged", bound=Candidate)


@dataclass(frozen=True)
class Verdict:
    """What one check says."""

    check: str
    """Its name, such as rank_fits."""
    finding: Finding | None
    """Why it refuses, or None when it passes."""


def check_adapter(adapter: AdapterFacts, base: Architecture, limits: Limits = DEFAULT_LIMITS) -> Finding | None:
    """The first reason why the adapter may not be loaded on the base, or None when it may."""
    return next((v.finding for v in verdicts(adapter, base, limits) if v.finding is not None), None)


def verdicts(adapter: AdapterFacts, base: Architecture | None, limits: Limits = DEFAULT_LIMITS) -> Iterator[Verdict]:
    """Every check in order; without a base only those that need none."""
    alone = Candidate(adapter, limits)
    yield from _run(BEFORE_BASE, alone)
    if base is not None:
        yield from _run(AGAINST_BASE, aligned(Pair(adapter, limits, base)))
    yield from _run(AFTER_BASE, alone)


def _run(checks: Iterable[Callable[[Judged], Finding | None]], judged: Judged) -> Iterator[Verdict]:
    return (Verdict(check.__name__, check(judged)) for check in checks)
