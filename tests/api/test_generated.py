"""Committed generated files are what the models generate now."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tunefleet.api import crdgen, reference
from tunefleet.api.conditions import Reason
from tunefleet.api.kinds import KINDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("directory", ["crds", "charts/tunefleet/crds"])
def test_crds_are_committed(directory: str) -> None:
    """In both places; `make generate` writes them."""
    committed = {path.name: path.read_text() for path in (ROOT / directory).glob("*.yaml")}
    assert committed == crdgen.files()


@pytest.mark.parametrize("name", reference.files())
def test_reference_is_committed(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == reference.files()[name]


@pytest.mark.parametrize("module", ["crdgen", "reference"])
def test_another_process_generates_the_same(module: str, tmp_path: Path) -> None:
    """Whatever its hash seed is."""
    command = [sys.executable, "-m", f"tunefleet.api.{module}", str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT / "operator"), "PYTHONHASHSEED": "7"})
    expected = {"crdgen": crdgen, "reference": reference}[module].files()
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == expected


def test_files_say_where_to_change_them() -> None:
    for content in (*crdgen.files().values(), *reference.files().values()):
        assert "make generate" in content.partition("\n")[0]


def test_yaml_has_no_anchors() -> None:
    """A person reads it."""
    for content in crdgen.files().values():
        assert "&id" not in content
        assert yaml.safe_load(content)["kind"] == "CustomResourceDefinition"


def test_reference_is_complete() -> None:
    pages = reference.files()
    for reason in Reason:
        assert f"| `{reason}` |" in pages["conditions.md"]
    for kind in KINDS:
        assert f"\n## {kind.name}\n" in pages["api.md"]
    assert "| `spec.rollout.keepWarm` | integer, 0 to 604800 | `300` |" in pages["api.md"]
