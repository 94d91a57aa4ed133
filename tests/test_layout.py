"""The checkout's shape, where a slip would break something far away."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_operator_never_shadows_the_standard_library() -> None:
    """A Python file in operator/ would make `import operator` find it when the root is on sys.path."""
    assert not list((ROOT / "operator").glob("*.py"))
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__, operator.add(1, 2))"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    path, total = found.stdout.split()
    assert Path(path).parent != ROOT / "operator"
    assert total == "3"
