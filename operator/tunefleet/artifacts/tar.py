"""The files of a tar archive that streams by: where they lie in it and what they hash to. Nothing is unpacked.

The standard library reads extended headers of any length into memory; here every length has a limit.
"""

import hashlib
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

from .errors import ArtifactError, unreadable

BLOCK = tarfile.BLOCKSIZE
MAX_EXTENDED_BYTES = 2**16
"""Of a long name or of extended headers."""
MAX_MEMBERS = 4096


@dataclass(frozen=True)
class Member:
    """A regular file."""

    name: str
    offset: int
    size: int
    sha256: str
    """Hexadecimal."""


@dataclass(frozen=True)
class Archive:
    """A whole archive."""

    members: tuple[Member, ...]
    sha256: str
    """Of all its bytes."""


class _Stream:
    """Bytes in order, hashed as they pass."""

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        self._blocks = blocks
        self._held = memoryview(b"")
        self._whole = hashlib.sha256()
        self.offset = 0

    async def pieces(self, count: int) -> AsyncIterator[memoryview]:
        """The next `count` bytes in pieces. Raises ArtifactError when there are fewer."""
        while count:
            if not self._held and not await self._more():
                raise _broken("it is cut")
            piece, self._held = self._held[:count], self._held[count:]
            self.offset += len(piece)
            count -= len(piece)
            yield piece

    async def take(self, count: int) -> bytes:
        """The next `count` bytes, which must be few."""
        return b"".join([bytes(piece) async for piece in self.pieces(count)])

    async def digest(self) -> str:
        """Of all bytes; reads what is left."""
        while await self._more():
            pass
        return self._whole.hexdigest()

    async def _more(self) -> bool:
        block = await anext(self._blocks, b"")
        self._whole.update(block)
        self._held = memoryview(block)
        return bool(block)


async def read_archive(blocks: AsyncIterator[bytes]) -> Archive:
    """The regular files of an archive, which is read to its end. Raises ArtifactError for one that is broken."""
    stream = _Stream(blocks)
    members: list[Member] = []
    pax: dict[str, str] = {}
    while (header := await _header(stream)) is not None:
        name, size = pax.get("path", header.name), _size(pax, header)
        if header.type in {tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME}:
            pax |= _extended(header.type, await _small(stream, header.size))
            continue
        pax = {}
        member = await _pass(stream, name, size)
        if header.isreg() and not header.issparse():
            members.append(member)
        if len(members) > MAX_MEMBERS:
            raise _broken(f"it has more than {MAX_MEMBERS} files")
    return Archive(tuple(members), await stream.digest())


async def _header(stream: _Stream) -> tarfile.TarInfo | None:
    block = await stream.take(BLOCK)
    if not any(block):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _broken("it is not an archive of files") from error


def _size(pax: dict[str, str], header: tarfile.TarInfo) -> int:
    try:
        size = int(pax.get("size", header.size))
    except ValueError as error:
        raise _broken("an extended header has a size that is no number") from error
    if size < 0:
        raise _broken("a file has a negative size")
    return size if header.isreg() or header.type in {tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK} else 0


async def _pass(stream: _Stream, name: str, size: int) -> Member:
    sha256, offset = hashlib.sha256(), stream.offset
    async for piece in stream.pieces(size):
        sha256.update(piece)
    await stream.take(-size % BLOCK)
    return Member(name.removeprefix("./"), offset, size, sha256.hexdigest())


async def _small(stream: _Stream, size: int) -> bytes:
    if not 0 <= size <= MAX_EXTENDED_BYTES:
        raise _broken(f"an extended header has {size} bytes")
    content = await stream.take(size)
    await stream.take(-size % BLOCK)
    return content


def _extended(kind: bytes, content: bytes) -> dict[str, str]:
    """`path` and `size` that stand outside of a header: GNU's long name, or POSIX records `LENGTH KEY=VALUE\\n`."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": content.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records: dict[str, str] = {}
    while content:
        length, space, rest = content.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 1 < int(length[:9]) <= len(content):
            raise _broken("an extended header cannot be read")
        record, content = rest[: int(length[:9]) - len(length) - 2], content[int(length[:9]) :]
        key, _, value = record.partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return records


def _broken(what: str) -> ArtifactError:
    return unreadable(f"a tar layer is broken: {what}; push the files again")
