"""Builds by Docker, where the cluster is kind's: the same Dockerfiles, on the public base image."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from dev import commands
from dev.builds.gomodules import ensure
from dev.images.recipes import RECIPES, ROOT
from dev.images.static import STATIC, StaticImage
from dev.settings import Settings
from dev.steps import skipped, step

BASE = "python:3.11-slim-bookworm"


def build(settings: Settings, name: str, reference: str) -> str:
    """Build the image unless Docker has it; returns its reference."""
    if name == "base":
        skipped(BASE, "Docker pulls it")
    elif commands.attempt(["docker", "image", "inspect", reference]).returncode == 0:
        skipped(reference, "built before")
    elif name in STATIC:
        _build_static(settings, STATIC[name])
    else:
        recipe = RECIPES[name]
        arguments = [f"--build-arg={key}={value}" for key, value in {"BASE": BASE, **recipe.arguments}.items()]
        with step(f"build {reference}"):
            commands.run(
                ["docker", "build", f"--file={ROOT / recipe.dockerfile}", f"--tag={reference}", *arguments, ROOT],
                env={"DOCKER_BUILDKIT": "1"},
            )
    return reference


def _build_static(settings: Settings, image: StaticImage) -> None:
    binary = ensure(image.build, settings.cache) / image.binary
    with tempfile.TemporaryDirectory() as context, step(f"build {image.reference}"):
        shutil.copy(binary, context)
        (Path(context) / "Dockerfile").write_text(
            f'FROM scratch\nCOPY {image.binary} /bin/\nUSER 65532:65532\nENTRYPOINT ["/bin/{image.binary}"]\n'
        )
        commands.run(["docker", "build", f"--tag={image.reference}", context])
