"""Binaries from Go modules, kept in a cache by name and version.

Two ways: `GoInstall` for a module that builds as it is, `GoModule` for one that must be required by a module of our own
(because it has `replace` lines, which `go install` refuses, or because it has no main package).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev import commands
from dev.steps import skipped, step

ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false", "GOTOOLCHAIN": "auto"}


@dataclass(frozen=True)
class GoInstall:
    """A module whose main packages build as they are."""

    name: str
    version: str  # without the leading v
    packages: Mapping[str, str]  # binary's name -> import path
    ldflags: str = "-s -w"


@dataclass(frozen=True)
class GoModule:
    """Packages that are built within a module of our own, whose files `write` puts into an empty directory."""

    name: str
    version: str
    packages: Mapping[str, str]
    write: Callable[[Path], None] = field(compare=False)
    ldflags: str = "-s -w"


Build = GoInstall | GoModule


def directory(build: Build, cache: Path) -> Path:
    """Where the binaries of `build` lie once they are built."""
    return cache / "bin" / f"{build.name}-{build.version}"


def built(build: Build, cache: Path) -> bool:
    """Whether every binary is there."""
    return all((directory(build, cache) / binary).exists() for binary in build.packages)


def ensure(build: Build, cache: Path) -> Path:
    """Build what is not in the cache and return the directory of the binaries; minutes for the big ones."""
    target = directory(build, cache)
    if built(build, cache):
        skipped(f"{build.name} {build.version}", "built before")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{build.name}-", dir=target.parent) as work:
        out = Path(work) / "bin"
        out.mkdir()
        for binary, package in build.packages.items():
            with step(f"build {binary} {build.version}"):
                _compile(build, package, out / binary, Path(work) / "module")
        shutil.rmtree(target, ignore_errors=True)
        out.rename(target)
    return target


def _compile(build: Build, package: str, out: Path, module: Path) -> None:
    match build:
        case GoInstall():
            _install(build, package, out)
        case GoModule():
            if not module.exists():
                module.mkdir()
                build.write(module)
                commands.run(["go", "mod", "tidy"], cwd=module, env=ENVIRONMENT)
            command: list[str | Path] = ["go", "build", "-ldflags", build.ldflags, "-o", out, package]
            commands.run(command, cwd=module, env=ENVIRONMENT)


def _install(build: GoInstall, package: str, out: Path) -> None:
    """`go install` names the binary after the last element of the package that is no version."""
    with tempfile.TemporaryDirectory(dir=out.parent) as gobin:
        command = ["go", "install", "-ldflags", build.ldflags, f"{package}@v{build.version}"]
        commands.run(command, env={**ENVIRONMENT, "GOBIN": gobin})
        (made,) = Path(gobin).iterdir()
        made.rename(out)
