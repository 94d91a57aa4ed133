"""What is at a URI: refusals are answers. Adapters are fetched whole, bases are read by their headers."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectedKind, InspectionResult

from .adapter import read_adapter
from .base import read_base
from .digest import ADAPTER_WEIGHTS, PICKLED_WEIGHTS, version_digest
from .errors import ArtifactError
from .fetch import MakeRoom, fetch, files_that_count, room_on_disk
from .opening import open_source
from .progress import Progress, Report
from .pvc import MOUNT_ROOT
from .source import RemoteFile, Source, Traced, chunks
from .store import StoredVersion


@dataclass(frozen=True)
class Question:
    """What to look at, and with which credentials."""

    uri: str
    environment: Mapping[str, str]
    """Endpoint and credentials of the source."""
    digest: str | None = None
    """What the files must hash to, when known."""
    mount_root: Path = MOUNT_ROOT


async def inspect_adapter(
    question: Question, root: Path, report: Report = lambda _: None, make_room: MakeRoom = room_on_disk
) -> InspectionResult:
    """Fetch an adapter under `root` and say what it is."""
    try:
        async with open_source(question.uri, question.environment, mount_root=question.mount_root) as source:
            await require_safetensors(source)
            stored = await fetch(source, "adapter", root, digest=question.digest, report=report, make_room=make_room)
            return await describe_adapter(stored, source.uri, lineage_of(source))
    except ArtifactError as error:
        return refusal("adapter", error)


async def describe_adapter(
    stored: StoredVersion, uri: str, lineage: Mapping[str, str] | None = None
) -> InspectionResult:
    """What an adapter that is on the disk is. Raises ArtifactError when its files are broken."""
    return InspectionResult(
        kind="adapter",
        resolved_uri=uri,
        digest=stored.digest,
        size_bytes=stored.size_bytes,
        adapter=await asyncio.to_thread(read_adapter, stored.directory),
        lineage=dict(lineage) if lineage else None,
    )


async def inspect_base(question: Question, report: Report = lambda _: None) -> InspectionResult:
    """Say what a base model is. Without a digest its files are streamed once, for their hashes; nothing is kept."""
    try:
        async with open_source(question.uri, question.environment, mount_root=question.mount_root) as source:
            files = await files_that_count(source, "base")
            architecture = await read_base(source, files)
            digest = question.digest or await _stream_digest(source, files, report)
            return InspectionResult(
                kind="base",
                resolved_uri=source.uri,
                digest=digest,
                size_bytes=sum(file.size for file in files),
                architecture=architecture,
                lineage=dict(lineage_of(source)) or None,
            )
    except ArtifactError as error:
        return refusal("base", error)


def lineage_of(source: Source) -> Mapping[str, str]:
    """What the source tells of its files' origin, if it can."""
    return source.lineage if isinstance(source, Traced) else {}


def refusal(kind: InspectedKind, error: ArtifactError) -> InspectionResult:
    """An error as an answer."""
    return InspectionResult(kind=kind, reason=error.reason, message=error.message, transient=error.transient)


async def require_safetensors(source: Source) -> None:
    names = {file.name for file in await source.files()}
    if ADAPTER_WEIGHTS not in names and (pickled := sorted(names.intersection(PICKLED_WEIGHTS))):
        raise ArtifactError(
            Reason.WEIGHTS_INVALID,
            f"{pickled[0]} is a pickle, which can run code when it is read; save it as {ADAPTER_WEIGHTS}",
        )


async def _stream_digest(source: Source, files: Sequence[RemoteFile], report: Report) -> str:
    """The version's digest; files whose sha256 the source already knows are not read (the fetch verifies them)."""
    unknown = [file for file in files if file.sha256 is None]
    progress = Progress(sum(file.size for file in unknown), report=report)
    hashes = {file.name: file.sha256 or await _stream_sha256(source, file, progress) for file in files}
    return version_digest(hashes)


async def _stream_sha256(source: Source, file: RemoteFile, progress: Progress) -> str:
    sha256 = hashlib.sha256()
    async for chunk in chunks(source, file):
        await asyncio.to_thread(sha256.update, chunk)
        progress.add(len(chunk))
    return sha256.hexdigest()
