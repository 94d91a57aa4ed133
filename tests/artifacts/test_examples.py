"""The examples' models, as the real transformers and peft wrote them: the gate takes the good ones and no other."""

import asyncio
from pathlib import Path

import pytest

from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.adapter import read_adapter
from tunefleet.artifacts.inspection import Question, inspect_base
from tunefleet.plan.gate import Limits, check_adapter

EXAMPLES = Path(__file__).parents[2] / "examples"
ADAPTERS = sorted(path.parent for path in EXAMPLES.glob("models/*/*/adapter_config.json"))
BROKEN = [path for path in ADAPTERS if path.parent.name == "broken"]


@pytest.fixture(scope="module")
def base() -> Architecture:
    result = asyncio.run(inspect_base(Question("pvc://models/base/v1", {}, mount_root=EXAMPLES)))
    assert result.architecture is not None, result.message
    return result.architecture


def test_the_base(base: Architecture) -> None:
    assert base.class_name == "LlamaForCausalLM"
    assert base.head_dim >= 32  # smaller ones end vLLM's CPU engine at the first request
    assert len(base.modules) == 9


@pytest.mark.parametrize(
    "path", sorted(set(ADAPTERS) - set(BROKEN)), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_good_adapters(path: Path, base: Architecture) -> None:
    facts = read_adapter(path)
    assert check_adapter(facts, base, Limits(16)) is None
    assert facts.layers == base.layers


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_the_broken_adapter(path: Path, base: Architecture) -> None:
    finding = check_adapter(read_adapter(path), base, Limits(16))
    assert finding is not None
    assert finding.reason == Reason.RANK_MISMATCH
