"""Builds are made once for a version, and a failed one leaves nothing that looks built."""

from pathlib import Path

import pytest

from dev import commands
from dev.builds import gomodules, pause


def module(version: str, main: str) -> gomodules.GoModule:
    def write(directory: Path) -> None:
        (directory / "go.mod").write_text("module tunefleet.local/test\n\ngo 1.24\n")
        (directory / "main.go").write_text(main)

    return gomodules.GoModule(name="test", version=version, packages={"one": ".", "two": "."}, write=write)


@pytest.fixture
def go_calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands for Go: records the calls, and writes what `-o` names."""
    calls: list[list[str]] = []

    def run(command: list[str | Path], **_: object) -> str:
        words = [str(word) for word in command]
        calls.append(words)
        if "-o" in words:
            Path(words[words.index("-o") + 1]).write_text("binary")
        return ""

    monkeypatch.setattr(commands, "run", run)
    return calls


def test_a_version_is_built_once(tmp_path: Path, go_calls: list[list[str]]) -> None:
    build = module("1", pause.MAIN)

    directory = gomodules.ensure(build, tmp_path)
    calls = len(go_calls)
    again = gomodules.ensure(build, tmp_path)

    assert directory == again == tmp_path / "bin" / "test-1"
    assert {path.name for path in directory.iterdir()} == {"one", "two"}
    assert len(go_calls) == calls


def test_another_version_lies_beside_it(tmp_path: Path, go_calls: list[list[str]]) -> None:
    gomodules.ensure(module("1", pause.MAIN), tmp_path)
    gomodules.ensure(module("2", pause.MAIN), tmp_path)

    assert gomodules.built(module("1", pause.MAIN), tmp_path)
    assert gomodules.built(module("2", pause.MAIN), tmp_path)


def test_a_missing_binary_is_built_again(tmp_path: Path, go_calls: list[list[str]]) -> None:
    build = module("1", pause.MAIN)
    (gomodules.ensure(build, tmp_path) / "two").unlink()

    assert not gomodules.built(build, tmp_path)
    gomodules.ensure(build, tmp_path)
    assert gomodules.built(build, tmp_path)


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise commands.CommandError("main.go:1: syntax error")

    monkeypatch.setattr(commands, "run", fail)

    with pytest.raises(commands.CommandError, match="syntax error"):
        gomodules.ensure(module("1", "no go"), tmp_path)
    assert list((tmp_path / "bin").iterdir()) == []
