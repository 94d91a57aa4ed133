"""oci://REGISTRY/REPOSITORY:TAG or …@sha256:DIGEST: an artifact of an OCI registry.

A tag is resolved to the digest of a manifest when the source is opened. Everything else follows from that digest: it is
the manifest's hash, and the manifest names the hash of each blob. Files are the artifact's layers, or lie in plain tar
layers; those are streamed once when the source is opened, to verify and to list them, and then read in ranges.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tunefleet.api.conditions import Reason
from tunefleet.api.sources import SourceUri

from .errors import ArtifactError, not_found, unreadable
from .http import Http, open_session
from .oci_manifest import Layer, layers, only_manifest, parse_manifest
from .oci_registry import Registry, account_for
from .source import RemoteFile, chunks
from .tar import read_archive

PLAIN_HTTP = "OCI_PLAIN_HTTP"
"""Key of a Secret: `true` for a registry without TLS."""
KEYS = "username and password, or .dockerconfigjson,"
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})


@dataclass(frozen=True)
class Place:
    """Where the bytes of a file lie."""

    digest: str
    """Of the blob."""
    offset: int


@dataclass(frozen=True)
class OciSource:
    """A manifest's files."""

    uri: str
    registry: Registry
    contents: Mapping[RemoteFile, Place]

    async def files(self) -> tuple[RemoteFile, ...]:
        return tuple(sorted(self.contents, key=lambda file: file.name))

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        place = self.contents[file]
        return await self.registry.blob_range(place.digest, place.offset + start, length)

    async def close(self) -> None:
        await self.registry.http.session.close()


async def open_oci(uri: SourceUri, environment: Mapping[str, str]) -> OciSource:
    """Resolve the tag and list the files. Raises ArtifactError."""
    name = str(uri)
    plain = environment.get(PLAIN_HTTP) == "true" or uri.place.partition(":")[0] in _LOOPBACK
    account = account_for(uri.place, environment, name)
    http = Http(name, open_session(environment, name), KEYS, plain=plain)
    registry = Registry(http, uri.place, uri.path, account)
    try:
        digest, found = await _resolve(registry, uri)
        contents = await _contents(registry, found)
    except BaseException:
        await http.session.close()
        raise
    if not contents:
        await http.session.close()
        raise not_found(f"{name}: the artifact has no named file; push files with their titles, or as a ModelPack")
    return OciSource(str(uri.at(digest)), registry, contents)


async def _resolve(registry: Registry, uri: SourceUri) -> tuple[str, tuple[Layer, ...]]:
    """The manifest's digest and its layers; an index of one manifest stands for it."""
    reference = uri.revision or ""
    for _ in range(2):
        content = await registry.manifest(reference)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if reference.startswith("sha256:") and digest != reference:
            raise _other_bytes(str(uri), "the manifest", reference)
        manifest = parse_manifest(str(uri), content)
        inner = only_manifest(str(uri), manifest)
        if inner is None:
            return digest, layers(str(uri), manifest)
        reference = inner
    raise ArtifactError(Reason.UNSUPPORTED_SOURCE, f"{uri} is an index of indexes; name a manifest by its digest")


async def _contents(registry: Registry, found: Iterable[Layer]) -> dict[RemoteFile, Place]:
    """Files by name; as in images, a later layer's file stands for an earlier one's."""
    by_name: dict[str, tuple[RemoteFile, Place]] = {}
    for layer in found:
        named = await _members(registry, layer) if layer.archive else [_whole(layer)]
        by_name |= {file.name: (file, place) for file, place in named}
    return dict(by_name.values())


def _whole(layer: Layer) -> tuple[RemoteFile, Place]:
    return RemoteFile(layer.name, layer.size, layer.sha256, layer.digest), Place(layer.digest, 0)


async def _members(registry: Registry, layer: Layer) -> list[tuple[RemoteFile, Place]]:
    file, place = _whole(layer)
    source = OciSource(registry.http.name, registry, {file: place})
    archive = await read_archive(chunks(source, file))
    if archive.sha256 != layer.sha256:
        raise _other_bytes(registry.http.name, "a layer", layer.digest)
    return [
        (RemoteFile(m.name, m.size, m.sha256, f"{layer.digest}+{m.offset}"), Place(layer.digest, m.offset))
        for m in archive.members
    ]


def _other_bytes(name: str, what: str, digest: str) -> ArtifactError:
    return unreadable(f"{name}: the registry sent {what} that is not {digest}; push it again")
