"""What an OCI manifest says of files: which layers are files, which are archives of files, and under which names.

Three kinds of artifacts are read: ModelPack's (https://github.com/modelpack/model-spec), files pushed by ORAS and the
like, named by the title annotation, and images whose layers are plain archives.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunefleet.api.conditions import Reason

from .errors import ArtifactError
from .peft import json_object

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = f"{MANIFEST}, {INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"
MAX_MANIFEST_BYTES = 4 * 2**20
"""What a registry must take at least: https://github.com/opencontainers/distribution-spec/blob/main/spec.md"""
MAX_LAYERS = 4096

_TITLE = "org.opencontainers.image.title"
_FILEPATH = "org.cncf.model.filepath"
_UNPACK = "io.deis.oras.content.unpack"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MODEL = "application/vnd.cncf.model."
_NOT_SERVED = tuple(f"{_MODEL}{part}." for part in ("doc", "code", "dataset"))


@dataclass(frozen=True)
class Layer:
    """A blob that is a file, or an archive of files."""

    digest: str
    size: int
    name: str
    """Of the file, relative to the artifact's top; of an archive, whatever stands there."""
    archive: bool

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self.digest.removeprefix("sha256:")


def parse_manifest(name: str, content: bytes) -> Mapping[str, Any]:
    """A manifest or an index as JSON. Raises ArtifactError."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise _unusable(f"{name}: its manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    return json_object("the manifest", content)


def only_manifest(name: str, index: Mapping[str, Any]) -> str | None:
    """Digest of the one manifest that an index has; None for what is no index. Raises ArtifactError for several."""
    if index.get("mediaType") not in (INDEX, DOCKER_INDEX) and "manifests" not in index:
        return None
    entries = index.get("manifests")
    if not isinstance(entries, list) or len(entries) != 1:
        number = len(entries) if isinstance(entries, list) else 0
        raise _unusable(f"{name} is an index of {number} manifests; name the one you mean by its digest, @sha256:…")
    return _described(name, entries[0])[0]


def layers(name: str, manifest: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The layers that may hold files of a version. Raises ArtifactError for compressed ones."""
    described = manifest.get("layers")
    if not isinstance(described, list) or len(described) > MAX_LAYERS:
        raise _unusable(f"{name} is no image manifest with at most {MAX_LAYERS} layers; push the files again")
    return tuple(layer for entry in described if (layer := _layer(name, entry)) is not None)


def _layer(name: str, entry: Any) -> Layer | None:
    digest, size = _described(name, entry)
    media_type = str(entry.get("mediaType", ""))
    notes = entry.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    title = str(notes.get(_FILEPATH) or notes.get(_TITLE) or "").removeprefix("./")
    if media_type.startswith(_NOT_SERVED):
        return None
    if _is_archive(media_type, title, notes):
        if not media_type.endswith(".tar"):
            raise _unusable(
                f"{name}: the layer {title or digest} is compressed, so that parts of it cannot be read; "
                "push the files raw or as plain tar layers"
            )
        return Layer(digest, size, title, archive=True)
    return Layer(digest, size, title, archive=False) if title else None


def _is_archive(media_type: str, title: str, notes: Mapping[str, Any]) -> bool:
    """ORAS calls plain files tar layers as well, but gives them a title and no request to unpack them."""
    if notes.get(_UNPACK) == "true":
        return True
    archived = re.search(r"\.tar([.+](gzip|zstd))?$", media_type) is not None
    return archived and (media_type.startswith(_MODEL) or not title)


def _described(name: str, entry: Any) -> tuple[str, int]:
    digest = entry.get("digest") if isinstance(entry, dict) else None
    size = entry.get("size") if isinstance(entry, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
        raise _unusable(f"{name}: its manifest has a descriptor without a sha256 digest and a size; push it again")
    return digest, size


def _unusable(message: str) -> ArtifactError:
    return ArtifactError(Reason.UNSUPPORTED_SOURCE, message)
