"""Adapters as the real peft saves them, of several families, on the bases that they were made for."""

import asyncio
from pathlib import Path

import pytest

from tests.gate.peft_data import FAMILIES, MANIFEST, SAVED, Saved, write_base
from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.adapter import read_adapter
from tunefleet.artifacts.inspection import Question, inspect_base
from tunefleet.plan.candidate import Limits
from tunefleet.plan.gate import check_adapter


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Architecture]:
    root = tmp_path_factory.mktemp("claims")
    return {family: architecture(root, family) for family in FAMILIES}


def architecture(root: Path, family: str) -> Architecture:
    write_base(root / "bases" / family, family)
    result = asyncio.run(inspect_base(Question(f"pvc://bases/{family}", {}, "sha256:" + "0" * 64, root)))
    assert result.architecture is not None, result.message
    return result.architecture


@pytest.mark.parametrize("saved", SAVED, ids=str)
def test_verdict(saved: Saved, bases: dict[str, Architecture]) -> None:
    finding = check_adapter(read_adapter(saved.path), bases[saved.family], Limits(16))
    assert (finding.reason if finding else None) == saved.reason, finding


def test_an_adapter_of_another_family_with_the_same_shapes_is_told_by_its_layers_and_modules_alone(
    bases: dict[str, Architecture],
) -> None:
    """Llama and Mistral of the same sizes are the same to the engine too; the fingerprint sees what shapes cannot."""
    llama = next(saved for saved in SAVED if (saved.family, saved.name) == ("llama", "all-linear"))
    assert check_adapter(read_adapter(llama.path), bases["mistral"]) is None
    deeper = bases["llama"].model_copy(update={"layers": 4})
    finding = check_adapter(read_adapter(llama.path.parent / "attention"), deeper)
    assert finding is not None
    assert finding.reason == Reason.WRONG_BASE


def test_ranks_of_patterns_are_known(bases: dict[str, Architecture]) -> None:
    facts = {saved.family: read_adapter(saved.path) for saved in SAVED if saved.name == "patterns"}
    assert all(fact.ranks == (2, 4) and fact.rank == 4 for fact in facts.values())
    assert facts.keys() == bases.keys()


def test_the_manifest_names_the_libraries_that_made_the_data() -> None:
    assert MANIFEST["versions"].keys() == {"peft", "safetensors", "torch", "transformers"}
    assert {"gemma", "llama", "mistral", "qwen2", "qwen3"} <= set(FAMILIES)
