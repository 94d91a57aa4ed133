"""Reading files of a source in order, some chunks ahead."""

import os

import pytest

from tests.artifacts.fake_source import MemorySource, fails_from
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.source import CHUNK_BYTES, READ_AHEAD, RemoteFile, chunks, read_all

CONTENT = os.urandom(CHUNK_BYTES * (READ_AHEAD + 2) + 3)


async def whole(source: MemorySource, start: int = 0) -> bytes:
    file = RemoteFile("x", len(source.contents["x"]))
    return b"".join([chunk async for chunk in chunks(source, file, start)])


@pytest.mark.parametrize("start", [0, 1, CHUNK_BYTES, len(CONTENT) - 1, len(CONTENT)])
async def test_bytes_come_in_order(start: int) -> None:
    assert await whole(MemorySource({"x": CONTENT}), start) == CONTENT[start:]


async def test_an_empty_file_has_no_chunks() -> None:
    source = MemorySource({"x": b""})
    assert await whole(source) == b""
    assert source.reads == []


async def test_no_more_chunks_are_ahead_than_told() -> None:
    source = MemorySource({"x": CONTENT})
    stream = chunks(source, RemoteFile("x", len(CONTENT)))
    await anext(stream)
    assert len(source.reads) <= READ_AHEAD
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_fault_ends_the_stream_and_leaves_no_read_behind() -> None:
    source = MemorySource({"x": CONTENT}, fault=fails_from(CHUNK_BYTES))
    with pytest.raises(ArtifactError) as cut:
        await whole(source)
    assert cut.value.reason == Reason.SOURCE_UNREADABLE


async def test_a_refusal_is_not_tried_again() -> None:
    refusal = ArtifactError(Reason.WEIGHTS_INVALID, "no")
    source = MemorySource({"x": b"abc"}, fault=fails_from(0, refusal))
    with pytest.raises(ArtifactError):
        await whole(source)
    assert len(source.reads) == 1


async def test_small_files_must_be_small() -> None:
    source = MemorySource({"x": b"abc"})
    assert await read_all(source, RemoteFile("x", 3), 3) == b"abc"
    with pytest.raises(ArtifactError) as large:
        await read_all(source, RemoteFile("x", 3), 2)
    assert large.value.reason == Reason.CONFIG_INVALID
