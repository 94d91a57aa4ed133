"""The table of faults names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "docs" / "design" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)))
FAULTS = [line for line in TABLE.splitlines() if line.startswith("|") and "`tests/" in line]


def named_in(path: Path) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_the_table_is_found() -> None:
    assert len(FAULTS) >= 15
    assert len(NAMED) >= 15


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_named_test_exists(path: str, name: str) -> None:
    assert name in named_in(ROOT / path)


def test_every_end_to_end_fault_is_in_the_table() -> None:
    injected = {("tests/e2e/test_faults.py", name) for name in named_in(ROOT / "tests" / "e2e" / "test_faults.py")}
    assert injected <= set(NAMED)
