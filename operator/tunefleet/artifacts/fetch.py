"""From a source to a complete version on the disk: hashed while it streams, resumed after a failure, atomic."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectedKind

from .digest import counts, version_digest
from .errors import ArtifactError, not_found, unreadable
from .progress import Progress, Report
from .source import RemoteFile, Source, chunks
from .store import (
    READ_BYTES,
    StoredVersion,
    complete,
    partial_directory,
    require_space,
    stored_version,
    translate_disk_error,
)

FILES_AT_ONCE = 4

MakeRoom = Callable[[Path, int], Awaitable[None]]
"""Called before a transfer with its directory and the bytes that it will add; raises ArtifactError(DiskFull)."""


async def room_on_disk(partial: Path, size: int) -> None:
    """Room is what the disk has free."""
    await asyncio.to_thread(require_space, partial, size)


async def files_that_count(source: Source, kind: InspectedKind) -> tuple[RemoteFile, ...]:
    """The files of a version. Raises ArtifactError when there is none."""
    listed = await source.files()
    counted = tuple(file for file in listed if counts(kind, file.name))
    if not counted:
        raise not_found(f"{source.uri}: none of its {len(listed)} files belongs to {_article(kind)}; check the path")
    return counted


async def fetch(
    source: Source,
    kind: InspectedKind,
    root: Path,
    *,
    digest: str | None = None,
    report: Report = lambda _: None,
    make_room: MakeRoom = room_on_disk,
) -> StoredVersion:
    """The version that the source holds, on the disk under `root`. At once when it is there already.

    One call at a time for one version and root. Raises ArtifactError: DigestMismatch when `digest` is given and the
    bytes are others, and then keeps nothing.
    """
    if digest is not None and (stored := stored_version(root, digest)):
        return stored
    files = await files_that_count(source, kind)
    partial = partial_directory(root, digest or source.uri)
    try:
        if digest is None:  # nothing could tell whether a half that an ended process left is of the same bytes
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        resumed, hashes = await _transfer(source, files, partial, report, make_room)
        if resumed and _mismatch(source, files, hashes, digest):
            await asyncio.to_thread(shutil.rmtree, partial)  # the half that was kept may be of other bytes
            _, hashes = await _transfer(source, files, partial, report, make_room)
        if error := _mismatch(source, files, hashes, digest):
            await asyncio.to_thread(shutil.rmtree, partial)
            raise error
        return await asyncio.to_thread(complete, partial, root, hashes)
    except OSError as error:
        raise translate_disk_error(error) from error
    finally:
        if digest is None:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)


def _mismatch(
    source: Source, files: Sequence[RemoteFile], hashes: Mapping[str, str], digest: str | None
) -> ArtifactError | None:
    """What arrived is not what was asked for, or not what the source itself says."""
    if wrong := [file.name for file in files if file.sha256 not in {None, hashes[file.name]}]:
        return unreadable(f"{source.uri}: {wrong[0]} has not the sha256 that its source says; upload it again")
    if digest is None or (actual := version_digest(hashes)) == digest:
        return None
    return ArtifactError(
        Reason.DIGEST_MISMATCH,
        f"{source.uri} holds {actual}, not {digest}; put other bytes at a new path and add a new version for them",
    )


async def _transfer(
    source: Source, files: Sequence[RemoteFile], partial: Path, report: Report, make_room: MakeRoom
) -> tuple[bool, Mapping[str, str]]:
    """Fill the directory; whether bytes of an earlier try were used, and the files' hashes."""
    await asyncio.to_thread(partial.mkdir, parents=True, exist_ok=True)
    kept = {file.name: _usable(partial / file.name, file.size) for file in files}
    await make_room(partial, sum(file.size for file in files) - sum(kept.values()))
    progress = Progress(sum(file.size for file in files), report=report)
    limit = asyncio.Semaphore(FILES_AT_ONCE)

    async def one(file: RemoteFile) -> tuple[str, str]:
        async with limit:
            return file.name, await _transfer_file(source, file, partial / file.name, kept[file.name], progress)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(file)) for file in files]
    except BaseExceptionGroup as errors:  # `except*` of the first Pythons 3.11 wraps what it raises in a group again
        if errors.split((ArtifactError, OSError))[1] is not None:
            raise
        raise _first(errors) from errors
    return any(kept.values()), dict(task.result() for task in tasks)


async def _transfer_file(source: Source, file: RemoteFile, path: Path, kept: int, progress: Progress) -> str:
    """Append what is missing and return the sha256 of the whole file."""
    sha256 = hashlib.sha256()
    # opened on the loop: a file opened in a thread is nobody's to close when the task is cancelled meanwhile
    with path.open("ab+") as stream:
        await asyncio.to_thread(_rewind, stream, kept, sha256)
        progress.add(kept)
        async for chunk in chunks(source, file, kept):
            await asyncio.to_thread(_append, stream, chunk, sha256)
            progress.add(len(chunk))
    return sha256.hexdigest()


def _usable(path: Path, size: int) -> int:
    """Bytes of an earlier try that may be kept: none when there are more than the file has now."""
    try:
        present = path.stat().st_size
    except FileNotFoundError:
        return 0
    return present if present <= size else 0


def _rewind(stream: BinaryIO, kept: int, sha256: "hashlib._Hash") -> None:
    stream.truncate(kept)
    stream.seek(0)
    while chunk := stream.read(READ_BYTES):
        sha256.update(chunk)


def _append(stream: BinaryIO, chunk: bytes, sha256: "hashlib._Hash") -> None:
    stream.write(chunk)
    stream.flush()
    sha256.update(chunk)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _article(kind: InspectedKind) -> str:
    return "an adapter" if kind == "adapter" else "a base model"
