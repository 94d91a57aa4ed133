"""Packages in directories of their own, kept in the cache by name and version; none of them is a dependency of ours."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from dev import commands
from dev.locks import alone
from dev.steps import skipped, step

COMPLETE = ".complete"


@dataclass(frozen=True)
class PythonPackage:
    """A package that is installed into a virtual environment."""

    name: str
    version: str
    others: tuple[str, ...] = field(default=(), kw_only=True)
    """Further packages in the same environment, NAME==VERSION."""

    def install(self, target: Path) -> None:
        """Fill the empty directory."""
        uv = [sys.executable, "-m", "uv"]
        commands.run([*uv, "venv", "--quiet", "--python", sys.executable, target])
        python = target / "bin" / "python"
        commands.run(
            [*uv, "pip", "install", "--quiet", "--python", python, f"{self.name}=={self.version}", *self.others]
        )


@dataclass(frozen=True)
class NodePackage:
    """A package that is installed with npm; its install scripts are not run."""

    name: str
    version: str

    def install(self, target: Path) -> None:
        """Fill the empty directory."""
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"]
        commands.run(["npm", "install", *options, "--prefix", target, f"{self.name}@{self.version}"])


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian, unpacked beside the system without becoming part of it; nobody needs to be root."""

    name: str
    version: str
    libraries: tuple[str, ...] = ()
    """Further packages that are unpacked with it: libraries that a system may lack."""

    @classmethod
    def candidate(cls, name: str, *libraries: str) -> DebianPackage:
        """In the version that the system would install. Raises CommandError or LookupError where there is none."""
        match = _candidate(name)
        if match is None:
            commands.run(["apt-get", "update"])  # a new machine may never have asked
            match = _candidate(name)
        if match is None:
            raise LookupError(f"apt-get knows no package {name}")
        return cls(name, match[1], libraries)

    def install(self, target: Path) -> None:
        """Fill the empty directory."""
        with tempfile.TemporaryDirectory() as work:
            commands.run(["apt-get", "download", f"{self.name}={self.version}", *self.libraries], cwd=Path(work))
            for archive in Path(work).glob("*.deb"):
                commands.run(["dpkg-deb", "--extract", archive, target])


def _candidate(name: str) -> re.Match[str] | None:
    return re.search(r"^ +Candidate: (\d\S*)$", commands.run(["apt-cache", "policy", name]), re.MULTILINE)


Package = PythonPackage | NodePackage | DebianPackage


def directory(package: Package, cache: Path) -> Path:
    """Where the package lies once it is installed."""
    return cache / "packages" / f"{package.name}-{package.version}"


def ensure(package: Package, cache: Path) -> Path:
    """Install what is not in the cache and return its directory; a minute or two for the big ones."""
    target = directory(package, cache)
    with alone(cache / "packages" / f"{package.name}.lock", f"another process installs {package.name}"):
        if (target / COMPLETE).exists():
            skipped(f"{package.name} {package.version}", "installed before")
            return target
        shutil.rmtree(target, ignore_errors=True)  # scripts hold their directory's name, so it cannot be moved later
        target.mkdir(parents=True)
        with step(f"install {package.name} {package.version}"):
            package.install(target)
        (target / COMPLETE).touch()
    return target
