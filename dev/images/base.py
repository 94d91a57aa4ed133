"""The base of all images where no registry can be reached: Debian bookworm with its Python 3.11, by debootstrap."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from dev import commands
from dev.images import buildah, inputs
from dev.images.recipes import ROOT
from dev.steps import skipped, step

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "python3-dev", "g++", "ca-certificates")
DOCKERFILE = "dev/dockerfiles/base.Dockerfile"
# Packages' archives and documentation, a third of the image.
USELESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")


def reference() -> str:
    """The base's name; it does not follow Debian's updates, delete it to get them."""
    return f"tunefleet.local/base:{inputs.digest(ROOT, [DOCKERFILE], [SUITE, *PACKAGES, *USELESS])}"


def build(cache: Path) -> str:
    """Build the base unless it is there; returns its name."""
    if buildah.has(cache, reference()):
        skipped(reference(), "built before")
        return reference()
    with tempfile.TemporaryDirectory(dir=cache) as work, step(f"build {reference()}"):
        root, context = Path(work) / "root", Path(work) / "context"
        context.mkdir()
        commands.run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root])
        for path in USELESS:
            _empty(root / path)
        commands.run(["tar", "-C", root, "--numeric-owner", "-cf", context / "rootfs.tar", "."])
        buildah.build(cache, reference(), ROOT / DOCKERFILE, context, {})
    return reference()


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
