"""Exporting an image again compresses and keeps just its new layers, and every blob is what its digest says."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import commands
from dev.images import buildah
from dev.images.layout import Image, Layout

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("buildah"), reason="needs root and buildah"),
]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A cache whose buildah leaves no mount behind."""
    yield tmp_path
    commands.attempt(["umount", tmp_path / "buildah" / "root" / "overlay"])


def build(cache: Path, layout: Layout, code: str) -> Image:
    """An image of two layers, one of which is large and never changes."""
    context = cache / "context"
    context.mkdir(exist_ok=True)
    (context / "large").write_bytes(b"\0" * (1 << 20))
    (context / "code").write_text(code)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /\nCOPY code /\n")
    reference = f"test.local/image:{code}"
    buildah.build(cache, reference, context / "Dockerfile", context, {})
    buildah.export(cache, reference, layout)
    image = layout.image(reference)
    assert image is not None
    return image


def test_a_changed_image_shares_what_did_not_change(cache: Path) -> None:
    layout = Layout(cache / "layout")
    first, second = build(cache, layout, "one"), build(cache, layout, "two")

    assert first.blobs[2] == second.blobs[2]
    assert first.blobs[3] != second.blobs[3]
    assert len(second.blobs) == 4
    for blob in {*first.blobs, *second.blobs}:
        assert blob == "sha256:" + hashlib.sha256(layout.blob(blob).read_bytes()).hexdigest()


def test_former_tags_are_dropped(cache: Path) -> None:
    layout = Layout(cache / "layout")
    build(cache, layout, "one")
    build(cache, layout, "two")

    buildah.forget_others(cache, "test.local/image:two")

    assert buildah.has(cache, "test.local/image:two")
    assert not buildah.has(cache, "test.local/image:one")
