"""The cgroups that the kubelet puts pods into: made before it starts, removed after it."""

from __future__ import annotations

from pathlib import Path

from dev.settings import Settings

ROOT = Path("/sys/fs/cgroup")


def create(settings: Settings) -> None:
    """Make the parent of all pods' cgroups, in every hierarchy."""
    for hierarchy in _hierarchies():
        directory = hierarchy / settings.cgroup
        directory.mkdir(exist_ok=True)
        _inherit_cpuset(directory)


def remove(settings: Settings) -> None:
    """Remove them, deepest first. They are empty: the processes ended with the namespaces."""
    for hierarchy in _hierarchies():
        parent = hierarchy / settings.cgroup
        below = sorted((path for path in parent.rglob("*") if path.is_dir()), reverse=True) if parent.exists() else []
        for directory in [*below, parent]:
            if directory.exists():
                directory.rmdir()


def _hierarchies() -> list[Path]:
    """Version 2 has one, version 1 one for each controller (some are links to another)."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink()]


def _inherit_cpuset(directory: Path) -> None:
    """A new cgroup of version 1 has no CPUs and no memory until it is given some, and takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = directory / name
        if file.exists() and not file.read_text().strip():
            file.write_text((directory.parent / name).read_text())
