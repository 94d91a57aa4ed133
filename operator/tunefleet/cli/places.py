"""What `tunefleet inspect` reads: a directory of this machine in place, a URI through the sources of the agent."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import click

from tunefleet.api.base_model import Architecture
from tunefleet.api.inspection import InspectionResult
from tunefleet.artifacts.base import read_base
from tunefleet.artifacts.digest import version_digest
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import files_that_count
from tunefleet.artifacts.inspection import Question, describe_adapter, inspect_adapter, refusal, require_safetensors
from tunefleet.artifacts.opening import open_source
from tunefleet.artifacts.progress import Progress
from tunefleet.artifacts.pvc import PvcSource
from tunefleet.artifacts.source import Source
from tunefleet.artifacts.store import StoredVersion, sha256_of_file


async def adapter_at(place: str) -> InspectionResult:
    """What an adapter is; a refusal is an answer."""
    if not _is_uri(place):
        try:
            return await _adapter_in(_directory(place))
        except ArtifactError as error:
            return refusal("adapter", error)
    with tempfile.TemporaryDirectory(prefix="tunefleet-inspect-") as store:
        return await inspect_adapter(Question(place, os.environ), Path(store), _progress)


async def architecture_at(place: str) -> Architecture:
    """A base model's architecture. Raises ArtifactError."""
    if not _is_uri(place):
        source = _local(_directory(place))
        return await read_base(source, await files_that_count(source, "base"))
    async with open_source(place, os.environ) as remote:
        return await read_base(remote, await files_that_count(remote, "base"))


async def _adapter_in(directory: Path) -> InspectionResult:
    source = _local(directory)
    await require_safetensors(source)
    files = await files_that_count(source, "adapter")
    hashes = {file.name: await asyncio.to_thread(sha256_of_file, directory / file.name) for file in files}
    size = sum(file.size for file in files)
    return await describe_adapter(StoredVersion(directory, version_digest(hashes), size, hashes), str(directory))


def _local(directory: Path) -> Source:
    """Read in place. Links may lead anywhere, as those of a hub cache do: it is the user's own machine."""
    return PvcSource(str(directory), Path(directory.anchor), directory)


def _is_uri(place: str) -> bool:
    return "://" in place


def _directory(place: str) -> Path:
    path = Path(place).expanduser()
    if not path.is_dir():
        raise click.BadParameter(f"{place} is no directory of this machine, and no URI such as s3://BUCKET/PREFIX")
    return path.resolve()


def _progress(progress: Progress) -> None:
    if sys.stderr.isatty():
        end = "\n" if progress.done == progress.total else "\r"
        print(f"fetching {progress.percent:3d}%", end=end, file=sys.stderr, flush=True)
