"""The digest of what an image is made of changes with content, names and facts, and with nothing else."""

import os
from pathlib import Path

import pytest

from dev.images import inputs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("a")
    (tmp_path / "package" / "b.py").write_text("b")
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    return tmp_path


def digest(root: Path, *facts: str) -> str:
    return inputs.digest(root, ["Dockerfile", "package"], facts)


def test_content_counts(root: Path) -> None:
    before = digest(root)
    (root / "package" / "a.py").write_text("A")

    assert digest(root) != before


def test_names_count(root: Path) -> None:
    before = digest(root)
    (root / "package" / "a.py").rename(root / "package" / "c.py")

    assert digest(root) != before


def test_facts_count(root: Path) -> None:
    assert digest(root, "EXTRA=operator") != digest(root, "EXTRA=gateway")


def test_times_and_bytecode_do_not_count(root: Path) -> None:
    before = digest(root)
    os.utime(root / "package" / "a.py", (1, 1))
    (root / "package" / "__pycache__").mkdir()
    (root / "package" / "__pycache__" / "a.pyc").write_text("bytecode")

    assert digest(root) == before


def test_a_missing_file_is_an_error(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inputs.digest(root, ["no-such-file"], [])
