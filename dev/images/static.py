"""Images of single static binaries, made without a builder: the cluster's own, and the demo's S3 server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.builds import coredns, pause, versitygw
from dev.builds.gomodules import Build, directory, ensure
from dev.images.layout import Layout, write_static
from dev.steps import skipped


@dataclass(frozen=True)
class StaticImage:
    """One binary of one build, as an image's entrypoint."""

    build: Build
    binary: str
    name: str

    @property
    def reference(self) -> str:
        """The build's version is all that the image depends on."""
        return f"tunefleet.local/{self.name}:{self.build.version}"


STATIC: Mapping[str, StaticImage] = {
    image.name: image
    for image in (
        StaticImage(pause.BUILD, "pause", "pause"),
        StaticImage(coredns.BUILD, "coredns", "coredns"),
        StaticImage(versitygw.BUILD, "versitygw", "s3"),
    )
}


def build(image: StaticImage, layout: Layout, cache: Path) -> str:
    """Make the image unless it is in the layout; returns its reference."""
    if layout.image(image.reference):
        skipped(image.reference, "built before")
        return image.reference
    ensure(image.build, cache)
    data = (directory(image.build, cache) / image.binary).read_bytes()
    write_static(layout, image.reference, {f"/bin/{image.binary}": data}, [f"/bin/{image.binary}"])
    return image.reference
