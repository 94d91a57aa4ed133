"""Packages are installed once for a version, and a failed installation leaves nothing that looks installed."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.servers.packages import PythonPackage, directory, ensure


@dataclass(frozen=True)
class Recorded(PythonPackage):
    """Notes its installations instead of making them."""

    calls: list[Path]
    fails: bool = False

    def install(self, target: Path) -> None:
        self.calls.append(target)
        (target / "part").write_text("half of it")
        if self.fails:
            raise RuntimeError("no network")


def test_a_version_is_installed_once(tmp_path: Path) -> None:
    calls: list[Path] = []
    first = ensure(Recorded("x", "1", calls), tmp_path)
    assert ensure(Recorded("x", "1", calls), tmp_path) == first
    assert ensure(Recorded("x", "2", calls), tmp_path) != first
    assert calls == [directory(PythonPackage("x", version), tmp_path) for version in ("1", "2")]


def test_what_failed_is_installed_anew(tmp_path: Path) -> None:
    calls: list[Path] = []
    with pytest.raises(RuntimeError, match="no network"):
        ensure(Recorded("x", "1", calls, fails=True), tmp_path)
    target = ensure(Recorded("x", "1", calls), tmp_path)
    assert len(calls) == 2
    assert (target / "part").exists()
