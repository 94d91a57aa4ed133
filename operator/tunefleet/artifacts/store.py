"""Versions on a disk: one directory a version, named by its digest, there in full or not at all.

ROOT/<64 hex>/              the files, and COMPLETE: written last, moved into place by one rename
ROOT/.partial-<key>/        a transfer under way; kept after a failure, so that the next try goes on where it stopped

A directory with COMPLETE is never changed: engines read adapters again at any time, and a missing file ends them.
"""

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunefleet.api.conditions import Reason
from tunefleet.api.names import digest_hex, short_hash

from .digest import version_digest
from .errors import ArtifactError

COMPLETE = ".complete"
READ_BYTES = 2**20
_placing = threading.Lock()
"""Transfers of the same bytes from two places may end at once: the first one places them, the other one sees it."""


@dataclass(frozen=True)
class StoredVersion:
    """A complete version on the disk."""

    directory: Path
    digest: str
    size_bytes: int
    """Of all files that count."""
    hashes: Mapping[str, str]
    """sha256 (hexadecimal) of each file by name."""


def version_directory(root: Path, digest: str) -> Path:
    """Where a version stands when it is complete."""
    return root / digest_hex(digest)


def partial_directory(root: Path, key: str) -> Path:
    """Where a version is assembled. The key is its digest, or its URI while the digest is not known."""
    return root / f".partial-{short_hash(key)}"


def stored_version(root: Path, digest: str) -> StoredVersion | None:
    """The version, if it is there in full."""
    directory = version_directory(root, digest)
    try:
        marker = json.loads((directory / COMPLETE).read_text())
    except (OSError, ValueError):
        return None
    return StoredVersion(directory, digest, marker["sizeBytes"], marker["files"])


def complete(partial: Path, root: Path, hashes: Mapping[str, str]) -> StoredVersion:
    """Make an assembled version durable and move it into place. Idempotent."""
    with _placing:
        return _complete(partial, root, hashes)


def _complete(partial: Path, root: Path, hashes: Mapping[str, str]) -> StoredVersion:
    digest = version_digest(hashes)
    if existing := stored_version(root, digest):
        shutil.rmtree(partial)
        return existing
    size = sum((partial / name).stat().st_size for name in hashes)
    _write_durably(
        partial / COMPLETE, json.dumps({"digest": digest, "sizeBytes": size, "files": dict(hashes)}).encode()
    )
    for name in hashes:
        sync(partial / name)
    sync(partial)
    directory = version_directory(root, digest)
    if directory.exists():  # without COMPLETE: not ours, and no engine was ever told of it
        shutil.rmtree(directory)
    partial.rename(directory)
    sync(root)
    return StoredVersion(directory, digest, size, dict(hashes))


def verify(version: StoredVersion) -> None:
    """Hash every file again. Raises ArtifactError(DigestMismatch) when the disk does not hold the version."""
    hashes = {name: sha256_of_file(version.directory / name) for name in version.hashes}
    if version_digest(hashes) != version.digest:
        raise ArtifactError(
            Reason.DIGEST_MISMATCH, f"the files of {version.digest} on this pod's disk have changed; delete the pod"
        )


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_space(root: Path, size: int) -> None:
    """Raises ArtifactError when the disk has no room for this many more bytes."""
    free = shutil.disk_usage(root).free
    if size > free:
        raise no_space(f"{size} bytes are needed and {free} are free")


def translate_disk_error(error: OSError) -> ArtifactError:
    """A failed write in words."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_space("it filled up while files were written")
    return ArtifactError(Reason.FETCH_FAILED, f"the pod's disk failed: {error.strerror or error}", transient=True)


def no_space(detail: str) -> ArtifactError:
    """The disk is full."""
    return ArtifactError(
        Reason.DISK_FULL,
        f"the pod's disk is full: {detail}; use fewer or smaller versions, or nodes with more ephemeral storage",
        transient=True,
    )


def _write_durably(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync(path)


def sync(path: Path) -> None:
    """fsync a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
