"""What was loaded into which engine start, across agents."""

from pathlib import Path

import pytest

from tunefleet.agent.engine_watch import EngineStart
from tunefleet.agent.registry import Registry
from tunefleet.engine.fingerprint import Reference

REFERENCE = Reference("kind", (0.0,), 0.1)
FIRST, AGAIN, SECOND = (EngineStart(*start, REFERENCE) for start in ((1.0, 1), (1.0, 2), (2.0, 3)))
A, B = "a@v1-00000000", "b@v1-00000000"


def test_another_agent_reads_what_the_first_one_wrote(tmp_path: Path) -> None:
    Registry(tmp_path / "r").add(FIRST, A)
    registry = Registry(tmp_path / "r")
    assert registry.holds(FIRST, A)
    assert registry.holds(AGAIN, A)
    assert not registry.holds(FIRST, B)


def test_another_engine_start_holds_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r")
    registry.add(FIRST, A)
    assert not registry.holds(SECOND, A)
    assert registry.remembers(A)
    registry.add(SECOND, B)
    assert not registry.holds(SECOND, A)
    assert not registry.remembers(A)


def test_what_was_unloaded_is_forgotten(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r")
    registry.add(FIRST, A)
    registry.remove(A)
    registry.remove(A)
    assert not Registry(tmp_path / "r").holds(FIRST, A)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"started": null, "names": []}', '{"started": 1}'])
def test_a_broken_file_knows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    assert not Registry(tmp_path / "r").holds(FIRST, A)
