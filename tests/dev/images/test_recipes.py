"""An image's name must change with every file that its Dockerfile copies, so recipes and Dockerfiles must agree."""

import re

import pytest

from dev.images.recipes import RECIPES, ROOT, Recipe

DOCKERFILES = ("operator/Dockerfile", "runtime-image/Dockerfile", "runtime-image/Dockerfile.cpu")


def copied(recipe: Recipe) -> set[str]:
    """The sources of a Dockerfile's COPY lines, with the recipe's build arguments in place."""
    text = (ROOT / recipe.dockerfile).read_text()
    for name, value in recipe.arguments.items():
        text = text.replace(f"${{{name}}}", value)
    return {source for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for source in line.split()[:-1]}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe_lists_what_its_dockerfile_copies(recipe: Recipe) -> None:
    assert set(recipe.copies) == copied(recipe)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_another_base_is_another_image(recipe: Recipe) -> None:
    assert recipe.reference("base:1") != recipe.reference("base:2")


def test_images_of_one_dockerfile_have_names_of_their_own() -> None:
    assert RECIPES["operator"].reference("base") != RECIPES["gateway"].reference("base")


@pytest.mark.parametrize(
    "dockerfile", ["operator/Dockerfile", "runtime-image/Dockerfile", "runtime-image/Dockerfile.cpu"]
)
def test_dockerfiles_take_another_base_lock_their_dependencies_and_run_unprivileged(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()

    assert re.search(r"^ARG BASE=\S+:\S+$", text, re.MULTILINE)
    assert re.findall(r"^FROM .*$", text, re.MULTILINE)[-1] == "FROM ${BASE}"
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    for command in re.findall(r"bin/pip install(?:[^&;]|\\\n)*", text):
        assert "--require-hashes" in command or "--no-deps" in command, command
