"""All images by name: `runtime-cpu` -> `tunefleet.local/runtime-cpu:<digest of what it is made of>`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from dev import locks
from dev.cluster import engine
from dev.images import base, buildah, docker, load, static
from dev.images.recipes import RECIPES, ROOT, Recipe
from dev.images.static import STATIC
from dev.settings import Settings
from dev.steps import skipped, step

NAMES = ("base", *STATIC, *RECIPES)


def references() -> Mapping[str, str]:
    """The images' names; they change when what the images are made of does."""
    return {
        "base": _base(),
        **{name: image.reference for name, image in STATIC.items()},
        **{name: recipe.reference(_base()) for name, recipe in RECIPES.items()},
    }


def build_all(settings: Settings, names: Iterable[str]) -> None:
    """Build what is not built."""
    with _alone(settings):
        for name in names:
            _build(settings, name)


def load_all(settings: Settings, names: Iterable[str]) -> None:
    """Build what is not built, and load it into the cluster as far as it is not there."""
    with _alone(settings):
        for name in (name for name in names if name != "base"):
            engine.choose().load(settings, _build(settings, name))


def _build(settings: Settings, name: str) -> str:
    """Returns the reference of what was built: by now its files may have changed again."""
    if engine.docker_and_kind():
        return docker.build(settings, name, references()[name])
    if name in STATIC:
        return static.build(STATIC[name], load.layout(settings.cache), settings.cache)
    if name == "base":
        return base.build(settings.cache)
    return _build_recipe(settings, RECIPES[name])


def _build_recipe(settings: Settings, recipe: Recipe) -> str:
    reference, layout = recipe.reference(_base()), load.layout(settings.cache)
    if layout.image(reference):
        skipped(reference, "built before")
        return reference
    made = base.build(settings.cache)
    arguments = {"BASE": made, "BUILDER": made, **recipe.arguments}
    with step(f"build {reference}"):
        buildah.build(settings.cache, reference, ROOT / recipe.dockerfile, ROOT, arguments)
    with step(f"store {reference}"):
        buildah.export(settings.cache, reference, layout)
        with layout.changing():
            layout.forget([each for each in layout.references() if _former(each, reference)])
        buildah.forget_others(settings.cache, reference)
    return reference


def _former(each: str, reference: str) -> bool:
    return each != reference and each.rpartition(":")[0] == reference.rpartition(":")[0]


def _base() -> str:
    return docker.BASE if engine.docker_and_kind() else base.reference()


def _alone(settings: Settings) -> AbstractContextManager[None]:
    """Two builders would do the same work twice."""
    return locks.alone(settings.cache / "images.lock", "wait for another build of images")
