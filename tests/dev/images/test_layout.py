"""Images in a layout: found by reference, forgotten without harm to the others."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from dev.images.layout import Layout, write_static


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def blobs(layout: Layout) -> set[str]:
    return {f"sha256:{path.name}" for path in (layout.directory / "blobs" / "sha256").iterdir()}


def test_an_image_holds_its_binary_as_an_executable(layout: Layout) -> None:
    write_static(layout, "test/pause:1", {"/bin/pause": b"program"}, ["/bin/pause"])

    image = layout.image("test/pause:1")
    assert image is not None
    manifest, config, layer = image.blobs
    assert json.loads(layout.blob(manifest).read_text())["config"]["digest"] == config
    assert json.loads(layout.blob(config).read_text())["rootfs"]["diff_ids"] == [layer]
    with tarfile.open(fileobj=io.BytesIO(layout.blob(layer).read_bytes())) as archive:
        (entry,) = archive.getmembers()
        assert (entry.name, entry.mode) == ("bin/pause", 0o755)
        file = archive.extractfile(entry)
        assert file is not None
        assert file.read() == b"program"


def test_the_same_files_are_the_same_image(layout: Layout) -> None:
    write_static(layout, "test/a:1", {"/bin/x": b"x", "/bin/y": b"y"}, ["/bin/x"])
    write_static(layout, "test/b:1", {"/bin/y": b"y", "/bin/x": b"x"}, ["/bin/x"])

    assert layout.references()["test/a:1"] == layout.references()["test/b:1"]


def test_a_reference_moves_to_the_new_image(layout: Layout) -> None:
    write_static(layout, "test/a:1", {"/bin/x": b"old"}, ["/bin/x"])
    former = layout.references()["test/a:1"]
    write_static(layout, "test/a:1", {"/bin/x": b"new"}, ["/bin/x"])

    assert list(layout.references()) == ["test/a:1"]
    assert layout.references()["test/a:1"] != former


def test_a_forgotten_image_takes_its_blobs_along_and_leaves_the_others(layout: Layout) -> None:
    write_static(layout, "test/a:1", {"/bin/x": b"a"}, ["/bin/x"])
    write_static(layout, "test/b:1", {"/bin/x": b"b"}, ["/bin/x"])
    kept = layout.image("test/b:1")
    assert kept is not None

    layout.forget(["test/a:1"])

    assert layout.image("test/a:1") is None
    assert blobs(layout) == set(kept.blobs)


def test_an_unknown_reference_is_none(layout: Layout) -> None:
    assert layout.image("test/none:1") is None


def test_a_layout_is_found_again(layout: Layout) -> None:
    write_static(layout, "test/a:1", {"/bin/x": b"a"}, ["/bin/x"])

    assert Layout(layout.directory).references() == layout.references()
