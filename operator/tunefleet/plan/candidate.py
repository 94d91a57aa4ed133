"""What the adapter gate judges: an adapter for itself, and an adapter against a base."""

from collections.abc import Callable
from dataclasses import dataclass

from tunefleet.api.base_model import Architecture
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
    """One adapter, whatever it shall be loaded on."""

    adapter: AdapterFacts
    limits: Limits


@dataclass(frozen=True)
class Pair(Candidate):
    """One adapter and one base."""

    base: Architecture


AloneCheck = Callable[[Candidate], Finding | None]
PairCheck = Callable[[Pair], Finding | None]


def names(values: tuple[str, ...], at_most: int = 3) -> str:
    """Some names for a sentence."""
    more = f" and {len(values) - at_most} more" if len(values) > at_most else ""
    return ", ".join(values[:at_most]) + more
