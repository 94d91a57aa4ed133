"""Small files that survive a crash at any moment: the former content or the new one, never half of it."""

from pathlib import Path

from tunefleet.artifacts.store import sync


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content by one rename, on the disk when this returns."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    sync(fresh)
    fresh.replace(path)
    sync(path.parent)
