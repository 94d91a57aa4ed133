"""Mounts of this machine below a directory; a cluster's own vanish with its namespace, these are what else is left."""

from __future__ import annotations

from pathlib import Path

from dev import commands


def below(directory: Path, table: str) -> list[Path]:
    """Mount points in `directory`, deepest first, from the text of /proc/self/mountinfo."""
    points = [Path(_decode(line.split(" ")[4])) for line in table.splitlines()]
    return sorted((point for point in points if point.is_relative_to(directory)), reverse=True)


def release(directory: Path) -> None:
    """Unmount all of them, also those that are in use."""
    for point in below(directory, Path("/proc/self/mountinfo").read_text()):
        commands.run(["umount", "--lazy", point])


def _decode(field: str) -> str:
    r"""The kernel writes space, tab, newline and backslash as \040, \011, \012 and \134."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
