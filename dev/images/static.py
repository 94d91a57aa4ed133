"""Images of single static binaries, made without a builder: those that the cluster itself starts with, and the S3 server."""

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

    @property
    def name(self) -> str:
        """The image's reference; the build's version is all that it depends on."""
        return f"tunefleet.local/{IMAGE_NAMES.get(self.binary, self.binary)}:{self.build.version}"


IMAGE_NAMES: Mapping[str, str] = {"versitygw": "s3"}
STATIC = {
    "pause": StaticImage(pause.BUILD, "pause"),
    "coredns": StaticImage(coredns.BUILD, "coredns"),
    "s3": StaticImage(versitygw.BUILD, "versitygw"),
}


def build(image: StaticImage, layout: Layout, cache: Path) -> str:
    """Make the image unless it is in the layout; returns its reference."""
    if layout.image(image.name):
        skipped(image.name, "built before")
        return image.name
    ensure(image.build, cache)
    data = (directory(image.build, cache) / image.binary).read_bytes()
    write_static(layout, image.name, {f"/bin/{image.binary}": data}, [f"/bin/{image.binary}"])
    return image.name
