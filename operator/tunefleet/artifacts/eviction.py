"""Which versions leave a disk that is bounded. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Present:
    """A complete version on the disk."""

    digest: str
    size_bytes: int
    used: float
    """When it was last fetched, looked at or loaded, in seconds since the epoch."""


def evictions(present: Iterable[Present], needed: Collection[str], bound: int) -> tuple[Present, ...]:
    """Those that must go so that the rest takes no more than `bound` bytes: longest unused first, and no more than
    that. What is needed stays, also where the bound cannot be kept then."""
    kept = sorted(present, key=lambda version: (version.used, version.digest))
    excess = sum(version.size_bytes for version in kept) - bound
    gone: list[Present] = []
    for version in kept:
        if excess <= 0:
            break
        if version.digest not in needed:
            gone.append(version)
            excess -= version.size_bytes
    return tuple(gone)
