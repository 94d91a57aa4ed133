"""Progress for people."""

import pytest

from tunefleet.artifacts.progress import LogLines, Progress


def test_percent_is_100_only_when_every_byte_is_there() -> None:
    progress = Progress(1000)
    progress.add(999)
    assert progress.percent == 99
    progress.add(1)
    assert progress.percent == 100
    assert Progress(0).percent == 100


def test_lines_have_percent_and_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(4 * 2**20, report=LogLines("fetching x", seconds=60))
    for _ in range(4):
        progress.add(2**20)
    assert capsys.readouterr().out.splitlines() == [
        "fetching x   25% (1.0 of 4.0 MiB)",
        "fetching x  100% (4.0 of 4.0 MiB)",
    ]
