"""docs/reference/adapter-gate.md says what the code does."""

import re
from pathlib import Path

from tests.gate.corpus import BROKEN, CASES, FOR_THE_FINGERPRINT, GOOD
from tests.gate.differences import DIFFERENCES
from tunefleet.plan.gate import AFTER_BASE, AGAINST_BASE, BEFORE_BASE

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "adapter-gate.md").read_text()
SECTION = TEXT.partition("## The gate and vLLM")[2]


def rows(text: str) -> list[list[str]]:
    """Cells of tables, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_checks_in_their_order() -> None:
    listed = re.findall(r"^\| `(\w+)`", TEXT.partition("## Checks")[2].partition("\n## ")[0], re.MULTILINE)
    assert listed == ["files_are_readable", *(check.__name__ for check in (*BEFORE_BASE, *AGAINST_BASE, *AFTER_BASE))]


def test_the_differences_and_their_reasons() -> None:
    documented = {name.strip("`"): (reason, what) for name, reason, what in rows(SECTION)}
    assert documented == {
        case.name: (str(case.reason), DIFFERENCES[case.name]) for case in BROKEN if case.name in DIFFERENCES
    }
    assert DIFFERENCES.keys() <= {case.name for case in BROKEN}


def test_every_adapter_of_the_corpus_is_named_once() -> None:
    named = re.findall(r"`([a-z0-9-]+)`", SECTION)
    assert sorted(named) == sorted(case.name for case in CASES)
    assert len(GOOD) + len(BROKEN) + len(FOR_THE_FINGERPRINT) == len(CASES)
