"""Versions on a disk: what there is, and how one leaves."""

import os
from pathlib import Path

from tunefleet.artifacts.disk import mark_used, partial_bytes, present_versions, remove_version
from tunefleet.artifacts.store import complete, partial_directory, sha256_of_file, stored_version


def stored(root: Path, text: str) -> str:
    partial = partial_directory(root, text)
    partial.mkdir()
    (partial / "adapter_model.safetensors").write_text(text)
    return complete(
        partial, root, {"adapter_model.safetensors": sha256_of_file(partial / "adapter_model.safetensors")}
    ).digest


def test_complete_versions_with_their_sizes(tmp_path: Path) -> None:
    one, two = stored(tmp_path, "one"), stored(tmp_path, "three")
    (tmp_path / "ballast").mkdir()
    (tmp_path / "desired.json").write_text("{}")
    assert {v.digest: v.size_bytes for v in present_versions(tmp_path)} == {one: 3, two: 5}


def test_a_version_that_is_asked_for_again_is_the_latest(tmp_path: Path) -> None:
    digests = [stored(tmp_path, text) for text in ("one", "two")]
    for digest in digests:
        os.utime(tmp_path / digest.removeprefix("sha256:") / ".complete", (1, 1))
    mark_used(tmp_path, digests[0])
    mark_used(tmp_path, f"sha256:{'0' * 64}")
    assert max(present_versions(tmp_path), key=lambda v: v.used).digest == digests[0]


def test_a_version_that_leaves_is_gone_at_once_and_for_good(tmp_path: Path) -> None:
    one, two = stored(tmp_path, "one"), stored(tmp_path, "two")
    remove_version(tmp_path, one)
    remove_version(tmp_path, one)
    assert stored_version(tmp_path, one) is None
    assert stored_version(tmp_path, two) is not None
    assert [path.name for path in tmp_path.iterdir()] == [two.removeprefix("sha256:")]


def test_transfers_under_way(tmp_path: Path) -> None:
    partial = partial_directory(tmp_path, "x")
    partial.mkdir()
    (partial / "a").write_text("12345")
    assert partial_bytes(tmp_path) == {partial: 5}
