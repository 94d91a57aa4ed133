"""Every broken adapter is refused before an engine is asked, with its reason and with advice; good ones pass."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.artifacts.samples import write_base
from tests.gate.corpus import BROKEN, CASES, FOR_THE_FINGERPRINT, MAX_RANK, Case, write_corpus
from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.plan.candidate import Limits
from tunefleet.plan.finding import Finding
from tunefleet.plan.gate import AFTER_BASE, AGAINST_BASE, BEFORE_BASE, check_adapter, verdicts

ADVICE = re.compile(r"\b(add|check|copy|merge|put|raise|save|serve|set|take|train|use|write)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus and its base as PersistentVolumeClaims."""
    root = tmp_path_factory.mktemp("claims")
    write_corpus(root / "corpus")
    write_base(root / "bases" / "tiny", dtype="bfloat16")
    return root


@pytest.fixture(scope="module")
def base(claims: Path) -> Architecture:
    result = asyncio.run(inspect_base(Question("pvc://bases/tiny", {}, "sha256:" + "0" * 64, claims)))
    assert result.architecture is not None, result.message
    return result.architecture


async def judged(case: Case, claims: Path, base: Architecture, store: Path) -> Finding | None:
    """What the agent does before it asks the engine."""
    result = await inspect_adapter(Question(f"pvc://corpus/{case.name}", {}, None, claims), store)
    if result.reason is not None:
        return Finding(result.reason, result.message)
    assert result.adapter is not None
    return check_adapter(result.adapter, base, Limits(MAX_RANK))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_verdict(case: Case, claims: Path, base: Architecture, tmp_path: Path) -> None:
    finding = await judged(case, claims, base, tmp_path)
    assert (finding.reason if finding else None) == case.reason, finding and finding.message
    if finding is not None:
        assert ADVICE.search(finding.message), finding.message
        assert len(finding.message) < 600


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len(BROKEN) >= 30
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in FOR_THE_FINGERPRINT] == ["all-zero"]


async def test_every_check_refuses_something(claims: Path, base: Architecture, tmp_path: Path) -> None:
    """But for those that only other bases can fail; `tests/plan/test_gate.py` has them."""
    refused = set()
    for case in BROKEN:
        result = await inspect_adapter(Question(f"pvc://corpus/{case.name}", {}, None, claims), tmp_path)
        if result.adapter is not None:
            refused |= {v.check for v in verdicts(result.adapter, base, Limits(MAX_RANK)) if v.finding is not None}
    others = {check.__name__ for check in (*BEFORE_BASE, *AGAINST_BASE, *AFTER_BASE)} - refused
    assert others == {"base_takes_adapters"}


def test_reasons_are_of_the_gate() -> None:
    assert {case.reason for case in BROKEN} == {
        Reason.ACCESS_DENIED,
        Reason.CONFIG_INVALID,
        Reason.FEATURE_UNSUPPORTED,
        Reason.MODULE_UNSUPPORTED,
        Reason.NOT_FINITE,
        Reason.RANK_MISMATCH,
        Reason.RANK_TOO_HIGH,
        Reason.WEIGHTS_INVALID,
        Reason.WRONG_BASE,
    }


def test_the_same_script_makes_the_same_bytes(claims: Path, tmp_path: Path) -> None:
    again = write_corpus(tmp_path / "corpus")
    for name, directory in again.items():
        for path in directory.iterdir():
            assert path.read_bytes() == (claims / "corpus" / name / path.name).read_bytes(), path
