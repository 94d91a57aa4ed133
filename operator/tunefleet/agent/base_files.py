"""The base's weights: the fetch beside the agent brings them, and the agent says how far it is."""

import asyncio
from pathlib import Path
from typing import NoReturn

from tunefleet.api.base_model import Architecture
from tunefleet.artifacts.base import read_base
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import files_that_count
from tunefleet.artifacts.progress import Progress
from tunefleet.artifacts.pvc import PvcSource

from .board import Board


def progress_path(version: Path) -> Path:
    """Beside the weights' directory, and of its own: the percentage as text."""
    return version.with_name(f".progress-{version.name}")


STEP = 5
"""Percent between two reports: each of them becomes a write of an object's status."""


class ProgressFile:
    """Keeps a percentage on the disk, for another process to read."""

    def __init__(self, version: Path) -> None:
        self._path = progress_path(version)
        self._shown = 0

    def __call__(self, progress: Progress) -> None:
        """Take a report."""
        if progress.percent >= self._shown + STEP:
            self._shown = progress.percent - progress.percent % STEP
            fresh = self._path.with_name(f"{self._path.name}.new")
            fresh.write_text(str(self._shown))
            fresh.replace(self._path)


class BaseFiles:
    """Waits for the weights of one base."""

    def __init__(self, path: Path, board: Board, poll: float) -> None:
        """`path` appears by one rename, when every byte is there and verified."""
        self._path = path
        self._board = board
        self._poll = poll
        self._read: asyncio.Future[Architecture] = asyncio.get_running_loop().create_future()

    async def architecture(self) -> Architecture:
        """What the adapters are judged against, as soon as it is there. Raises ArtifactError."""
        return await asyncio.shield(self._read)

    async def run(self) -> NoReturn:
        """Tell how far the fetch is until the base is there, and read it once."""
        while not self._path.is_dir():
            await self._tell(_percent(progress_path(self._path)))
            await asyncio.sleep(self._poll)
        try:
            architecture = await _read(self._path)
        except ArtifactError as error:
            await self._board.set_engine(message=f"The base cannot be read: {error.message}"[:1024], fetched=None)
            self._read.set_exception(error)
            self._read.exception()  # whoever waits gets it; nobody has to
        else:
            await self._board.set_engine(message="Waiting for the engine to start.", fetched=None)
            self._read.set_result(architecture)
        await asyncio.Event().wait()
        raise AssertionError

    async def _tell(self, percent: int) -> None:
        await self._board.set_engine(message=f"Fetching the base: {percent} %.", fetched=percent)


async def _read(path: Path) -> Architecture:
    source = PvcSource(str(path), path.parent, path)
    return await read_base(source, await files_that_count(source, "base"))


def _percent(path: Path) -> int:
    try:
        return min(100, max(0, int(path.read_text())))
    except (OSError, ValueError):
        return 0
