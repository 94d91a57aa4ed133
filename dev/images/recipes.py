"""The images that are built from Dockerfiles, the very ones that users build from, and what each is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.images import inputs

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "operator/tunefleet", "requirements/build.txt")

COMPILER = ("setup.py", "requirements/compile.txt")


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile, its build arguments, and every file that it copies."""

    name: str
    dockerfile: str
    copies: tuple[str, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> str:
        """The image's name without a tag."""
        return f"tunefleet.local/{self.name}"

    def reference(self, base: str) -> str:
        """The name of the image on top of `base`, tagged with the digest of everything that it is made of."""
        facts = [base, *(f"{key}={value}" for key, value in sorted(self.arguments.items()))]
        return f"{self.repository}:{inputs.digest(ROOT, (self.dockerfile, *self.copies), facts)}"


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "operator", "operator/Dockerfile", (*PACKAGE, *COMPILER, "requirements/operator.txt"), {"EXTRA": "operator"}
        ),
        Recipe(
            "gateway", "operator/Dockerfile", (*PACKAGE, *COMPILER, "requirements/gateway.txt"), {"EXTRA": "gateway"}
        ),
        Recipe(
            "runtime-cpu",
            "runtime-image/Dockerfile.cpu",
            (
                *PACKAGE,
                "requirements/agent.txt",
                "runtime-image/vllm-cpu-requirements.txt",
                "runtime-image/torch-cuda-requirements.txt",
            ),
        ),
    )
}
