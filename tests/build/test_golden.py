"""The builders write these very manifests; a change of one shows in review as a change of its golden file."""

from pathlib import Path

import pytest

from tests.build.golden_manifests import GOLDEN, rendered


@pytest.mark.parametrize(
    ("path", "text"), list(rendered()), ids=lambda value: value.stem if isinstance(value, Path) else ""
)
def test_manifests_are_as_reviewed(path: Path, text: str) -> None:
    assert path.read_text() == text, "review the change, then: python -m tests.build.golden_manifests"


def test_no_golden_file_is_left_over() -> None:
    assert {path for path, _ in rendered()} == set(GOLDEN.iterdir())
