"""pvc://CLAIM/PATH: a PersistentVolumeClaim of the object's namespace, mounted read-only at MOUNT_ROOT/CLAIM."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tunefleet.api.sources import SourceUri

from .errors import ArtifactError, denied, not_found, unreadable
from .source import RemoteFile

MOUNT_ROOT = Path("/sources")


@dataclass(frozen=True)
class PvcSource:
    """A directory of a mounted claim. Links may lead elsewhere in the claim, never out of it."""

    uri: str
    claim: Path
    directory: Path

    async def files(self) -> tuple[RemoteFile, ...]:
        return await asyncio.to_thread(self._files)

    async def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        return await asyncio.to_thread(self._read, file, start, length)

    async def close(self) -> None:
        return

    def _files(self) -> tuple[RemoteFile, ...]:
        try:
            entries = sorted(self.directory.iterdir())
            return tuple(_remote(self.inside(path)) for path in entries if path.is_file())
        except OSError as error:
            raise self._translate(error) from error

    def _read(self, file: RemoteFile, start: int, length: int) -> bytes:
        path = self.inside(self.directory / file.name)[1]
        try:
            if _remote((file.name, path)) != file:
                raise unreadable(f"{file.name} changed while it was read; put new versions at new paths")
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(length)
        except OSError as error:
            raise self._translate(error) from error

    def inside(self, path: Path) -> tuple[str, Path]:
        """Name and real path of a file. Raises ArtifactError for one that lies outside the claim."""
        real = path.resolve()
        if not real.is_relative_to(self.claim.resolve()):
            raise denied(f"{path.name} is a link that leads out of the claim; copy the file into it")
        return path.name, real

    def _translate(self, error: OSError) -> ArtifactError:
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return not_found(f"{self.uri}: there is no such directory on the claim; check the path")
            case PermissionError():
                return denied(f"{self.uri}: user 65532 may not read it; make the files readable for others")
            case _:
                return unreadable(f"{self.uri}: {error.strerror or error}")


def open_pvc(uri: SourceUri, root: Path) -> PvcSource:
    """The directory that the URI names. Raises ArtifactError when the claim is not mounted in this pod."""
    claim = root / uri.place
    if not claim.is_dir():
        raise not_found(f"{uri}: the PersistentVolumeClaim {uri.place} is not mounted here; check its name")
    source = PvcSource(str(uri), claim, claim / uri.path)
    source.inside(source.directory)
    return source


def _remote(entry: tuple[str, Path]) -> RemoteFile:
    name, path = entry
    stat = path.stat()
    return RemoteFile(name, stat.st_size, revision=f"{stat.st_mtime_ns}-{stat.st_size}")
