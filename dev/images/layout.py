"""An OCI image layout on disk: blobs by digest, and an index of images by reference.

It is the one place where images are kept, whoever built them, and what is loaded into clusters comes from it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev import locks

REFERENCE = "org.opencontainers.image.ref.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """An image in a layout: its manifest's digest and size, and the digests of all blobs it is made of."""

    digest: str
    size: int
    blobs: tuple[str, ...]


class Layout:
    """A layout at `directory`; created empty when it is not there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        if not self._index_file.exists():
            (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
            self._write_index([])

    def changing(self) -> AbstractContextManager[None]:
        """Hold this from an image's first blob until its name is given, and for `forget`: one process at a time."""
        return locks.alone(self.directory / "lock", "wait for another process that stores an image")

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.directory / "blobs" / digest.replace(":", "/")

    def references(self) -> Mapping[str, str]:
        """Manifest digests by reference."""
        return {entry["annotations"][REFERENCE]: entry["digest"] for entry in self._index()}

    def image(self, reference: str) -> Image | None:
        """The image of that reference, or None."""
        digest = self.references().get(reference)
        if digest is None:
            return None
        data = self.blob(digest).read_bytes()
        manifest = json.loads(data)
        parts = [manifest["config"], *manifest["layers"]]
        return Image(digest, len(data), (digest, *(part["digest"] for part in parts)))

    def layers(self) -> Mapping[str, Mapping[str, Any]]:
        """Descriptors of all layers by the digests of what they hold uncompressed."""
        known: dict[str, Mapping[str, Any]] = {}
        for digest in self.references().values():
            manifest = json.loads(self.blob(digest).read_text())
            config = json.loads(self.blob(manifest["config"]["digest"]).read_text())
            known |= zip(config["rootfs"]["diff_ids"], manifest["layers"], strict=True)
        return known

    def add(self, data: bytes) -> dict[str, Any]:
        """Store a blob and return its descriptor without a media type."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blob(digest).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def name(self, reference: str, manifest: Mapping[str, Any]) -> None:
        """Let `reference` mean the manifest of that descriptor."""
        entry = {"mediaType": MANIFEST, **manifest, "annotations": {REFERENCE: reference}}
        self._write_index([each for each in self._index() if each["annotations"][REFERENCE] != reference] + [entry])

    def forget(self, references: Iterable[str]) -> None:
        """Drop references, and the blobs that none of the others needs."""
        gone = set(references)
        self._write_index([each for each in self._index() if each["annotations"][REFERENCE] not in gone])
        needed = {blob for reference in self.references() for blob in _blobs(self.image(reference))}
        for file in (self.directory / "blobs" / "sha256").iterdir():
            if f"sha256:{file.name}" not in needed:
                file.unlink()

    @property
    def _index_file(self) -> Path:
        return self.directory / "index.json"

    def _index(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self._index_file.read_text())["manifests"]
        return entries

    def _write_index(self, entries: list[dict[str, Any]]) -> None:
        self._index_file.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def write_static(layout: Layout, reference: str, files: Mapping[str, bytes], entrypoint: list[str]) -> None:
    """Make an image of a few static binaries: `files` maps paths in the image to contents. Runs as user 65532."""
    with layout.changing():
        _write_static(layout, reference, _tar(files), entrypoint)


def _write_static(layout: Layout, reference: str, layer: bytes, entrypoint: list[str]) -> None:
    layer_blob = layout.add(layer)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": "65532:65532", "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer_blob["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, **layout.add(json.dumps(config).encode())},
        "layers": [{"mediaType": LAYER, **layer_blob}],
    }
    layout.name(reference, layout.add(json.dumps(manifest).encode()))


def _blobs(image: Image | None) -> tuple[str, ...]:
    return image.blobs if image else ()


def _tar(files: Mapping[str, bytes]) -> bytes:
    """A layer that is the same bytes for the same files: no times, no names of users."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()
