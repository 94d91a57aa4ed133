"""Files of components that end, to be started again, when their file is written."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str) -> Path:
    """Write `text` unless the file holds it already, readable by its owner alone; returns `path`."""
    if not path.exists() or path.read_text() != text:
        path.touch(mode=0o600)
        path.write_text(text)
    return path
