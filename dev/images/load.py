"""Images of the layout into a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dev.cluster import runtime
from dev.images import transfer
from dev.images.layout import Layout
from dev.images.static import STATIC, build
from dev.settings import Settings
from dev.steps import console, skipped

PREFIX = "tunefleet.local/"


def layout(cache: Path) -> Layout:
    """Where all images are kept."""
    return Layout(cache / "images")


def static(settings: Settings, names: Iterable[str]) -> None:
    """Build and load images of static binaries."""
    store = layout(settings.cache)
    for name in names:
        load_reference(settings, store, build(STATIC[name], store, settings.cache))


def load_reference(settings: Settings, store: Layout, name: str) -> None:
    """Load one image of the layout under its name and under `:dev`."""
    image = store.image(name)
    if image is None:
        raise LookupError(f"{name} is not built; build it: python -m dev.images build")
    wanted = (name, _stable(name))
    present = transfer.loaded(settings)
    if all(present.get(each) == image.digest for each in wanted):
        skipped(name, "in the cluster")
        return
    moved = transfer.load(settings, store, image, wanted)
    console.print(f"[green]✓[/green] {name} loaded, {moved / 1e6:.1f} MB moved")


def prune(settings: Settings) -> None:
    """Remove former images. Only for a cluster without pods: one that starts again needs its image."""
    present = transfer.loaded(settings)
    ours = [name for name in present if name.startswith(PREFIX)]
    former = [name for name in ours if present[name] != present.get(_stable(name))]
    if former:
        runtime.ctr(settings, "images", "rm", *former)


def _stable(name: str) -> str:
    """The name that stays the same when the image changes."""
    return f"{name.rpartition(':')[0]}:dev"
