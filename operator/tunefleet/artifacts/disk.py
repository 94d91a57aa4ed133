"""What versions take of a disk, and how one leaves it: see `artifacts.store` for the layout."""

import json
import os
import shutil
from pathlib import Path

from .eviction import Present
from .store import COMPLETE, version_directory

_PARTIAL = ".partial-*"
_EVICTED = ".evicted-"


def present_versions(root: Path) -> tuple[Present, ...]:
    """Complete versions under a root."""
    return tuple(found for marker in root.glob(f"*/{COMPLETE}") if (found := _present(marker)) is not None)


def partial_bytes(root: Path) -> dict[Path, int]:
    """Bytes of every transfer that is under way or was cut off, by its directory."""
    return {partial: _bytes(partial) for partial in root.glob(_PARTIAL)}


def mark_used(root: Path, digest: str) -> None:
    """It was asked for now."""
    marker = version_directory(root, digest) / COMPLETE
    if marker.exists():
        os.utime(marker)


def remove_version(root: Path, digest: str) -> None:
    """Out of its place by one rename, so that it is never there by half; then deleted. Idempotent."""
    directory = version_directory(root, digest)
    trash = root / f"{_EVICTED}{directory.name}"
    if directory.exists():
        directory.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def _present(marker: Path) -> Present | None:
    try:
        found = json.loads(marker.read_text())
        return Present(str(found["digest"]), int(found["sizeBytes"]), marker.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
