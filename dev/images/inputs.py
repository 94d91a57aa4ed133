"""What an image is made of, as one digest: when it is the same, so is the image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

LENGTH = 12


def digest(root: Path, paths: Iterable[str], facts: Iterable[str]) -> str:
    """The first digits of a sha256 over the files in `paths` (files or directories below `root`) and over `facts`."""
    total = hashlib.sha256()
    for fact in facts:
        total.update(f"{fact}\n".encode())
    for file in sorted(file for path in paths for file in _files(root / path)):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{content}  {file.relative_to(root)}\n".encode())
    return total.hexdigest()[:LENGTH]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
