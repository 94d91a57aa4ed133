"""A version is on the disk in full, under its digest, or not at all; and a cut transfer goes on."""

import asyncio
import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.artifacts.fake_source import MemorySource, fails_from
from tunefleet.api.conditions import Reason
from tunefleet.artifacts import store
from tunefleet.artifacts.digest import version_digest
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.progress import Progress
from tunefleet.artifacts.source import CHUNK_BYTES
from tunefleet.artifacts.store import COMPLETE, stored_version, verify

CONTENTS = {
    "config.json": b"{}",
    "model.safetensors": os.urandom(2 * CHUNK_BYTES + 5),
    "README.md": b"not part of it",
}


def digest_of(contents: dict[str, bytes]) -> str:
    counted = {name: c for name, c in contents.items() if name != "README.md"}
    return version_digest({name: hashlib.sha256(content).hexdigest() for name, content in counted.items()})


DIGEST = digest_of(CONTENTS)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(dict(CONTENTS))


def hex_of(digest: str) -> str:
    return digest.removeprefix("sha256:")


async def test_files_that_count_are_stored_under_the_digest(source: MemorySource, tmp_path: Path) -> None:
    stored = await fetch(source, "base", tmp_path)
    assert stored.digest == DIGEST
    assert stored.directory == tmp_path / hex_of(DIGEST)
    assert (stored.directory / "model.safetensors").read_bytes() == CONTENTS["model.safetensors"]
    assert {path.name for path in stored.directory.iterdir()} == {"config.json", "model.safetensors", COMPLETE}
    assert stored.size_bytes == 2 + len(CONTENTS["model.safetensors"])
    assert stored_version(tmp_path, DIGEST) == stored


async def test_a_stored_version_is_not_fetched_again(source: MemorySource, tmp_path: Path) -> None:
    await fetch(source, "base", tmp_path, digest=DIGEST)
    source.reads.clear()
    await fetch(source, "base", tmp_path, digest=DIGEST)
    assert source.reads == []


async def test_other_bytes_than_the_digest_names_are_refused_and_leave_nothing(
    source: MemorySource, tmp_path: Path
) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(ArtifactError) as refused:
        await fetch(source, "base", tmp_path, digest=wrong)
    assert refused.value.reason == Reason.DIGEST_MISMATCH
    assert not refused.value.transient
    assert DIGEST in refused.value.message
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_a_cut_transfer_goes_on_where_it_stopped(source: MemorySource, tmp_path: Path) -> None:
    source.fault = fails_from(CHUNK_BYTES)
    with pytest.raises(ArtifactError) as cut:
        await fetch(source, "base", tmp_path, digest=DIGEST)
    assert cut.value.transient
    assert stored_version(tmp_path, DIGEST) is None
    source.fault = MemorySource({}).fault
    source.reads.clear()
    stored = await fetch(source, "base", tmp_path, digest=DIGEST)
    assert ("model.safetensors", 0) not in source.reads
    verify(stored)


async def test_a_kept_half_of_other_bytes_is_thrown_away_and_all_is_fetched_anew(
    source: MemorySource, tmp_path: Path
) -> None:
    partial = store.partial_directory(tmp_path, DIGEST)
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"something else")
    stored = await fetch(source, "base", tmp_path, digest=DIGEST)
    verify(stored)


async def test_a_kept_file_that_is_too_long_is_not_used(source: MemorySource, tmp_path: Path) -> None:
    partial = store.partial_directory(tmp_path, DIGEST)
    partial.mkdir()
    (partial / "config.json").write_bytes(b"longer than it is now")
    verify(await fetch(source, "base", tmp_path, digest=DIGEST))


async def test_without_a_digest_no_half_is_ever_kept(source: MemorySource, tmp_path: Path) -> None:
    source.fault = fails_from(CHUNK_BYTES)
    with pytest.raises(ArtifactError):
        await fetch(source, "base", tmp_path)
    source.fault = MemorySource({}).fault
    source.contents["model.safetensors"] = os.urandom(2 * CHUNK_BYTES)
    stored = await fetch(source, "base", tmp_path)
    assert stored.digest == digest_of(source.contents)


async def test_without_a_digest_a_half_that_an_ended_process_left_is_not_used(
    source: MemorySource, tmp_path: Path
) -> None:
    partial = store.partial_directory(tmp_path, source.uri)
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"of other bytes")
    assert (await fetch(source, "base", tmp_path)).digest == DIGEST


async def test_a_directory_without_its_marker_is_replaced(source: MemorySource, tmp_path: Path) -> None:
    half = tmp_path / hex_of(DIGEST)
    half.mkdir()
    (half / "config.json").write_bytes(b"half")
    assert stored_version(tmp_path, DIGEST) is None
    verify(await fetch(source, "base", tmp_path, digest=DIGEST))


async def test_a_transfer_that_is_cancelled_leaves_no_version(source: MemorySource, tmp_path: Path) -> None:
    source.gate = asyncio.Event()
    task = asyncio.create_task(fetch(source, "base", tmp_path, digest=DIGEST))
    await source.reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored_version(tmp_path, DIGEST) is None


async def test_a_passing_fault_is_not_noticed(source: MemorySource, tmp_path: Path) -> None:
    failed: set[int] = set()

    def once(name: str, start: int) -> None:
        if start not in failed:
            failed.add(start)
            fails_from(0)(name, start)

    source.fault = once
    assert (await fetch(source, "base", tmp_path)).digest == DIGEST


async def test_a_source_that_sends_less_than_it_listed(source: MemorySource, tmp_path: Path) -> None:
    listed = await source.files()
    source.contents["model.safetensors"] = b"short"

    async def files() -> Any:
        return listed

    source.files = files  # type: ignore[method-assign]
    with pytest.raises(ArtifactError) as short:
        await fetch(source, "base", tmp_path)
    assert short.value.reason == Reason.SOURCE_UNREADABLE


async def test_a_place_without_a_file_that_counts(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as empty:
        await fetch(MemorySource({"README.md": b""}), "adapter", tmp_path)
    assert empty.value.reason == Reason.SOURCE_NOT_FOUND


async def test_a_disk_without_room_is_said_before_a_byte_is_sent(
    source: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(ArtifactError) as full:
        await fetch(source, "base", tmp_path)
    assert full.value.reason == Reason.DISK_FULL
    assert full.value.transient
    assert source.reads == []


async def test_a_disk_that_fills_up_while_files_are_written(
    source: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "sync", full)
    with pytest.raises(ArtifactError) as failed:
        await fetch(source, "base", tmp_path, digest=DIGEST)
    assert failed.value.reason == Reason.DISK_FULL
    assert "full" in failed.value.message
    monkeypatch.undo()
    verify(await fetch(source, "base", tmp_path, digest=DIGEST))


async def test_progress_counts_every_byte_and_ends_at_100(source: MemorySource, tmp_path: Path) -> None:
    seen: list[int] = []

    def report(progress: Progress) -> None:
        seen.append(progress.percent)

    await fetch(source, "base", tmp_path, report=report)
    assert seen[-1] == 100
    assert seen == sorted(seen)


async def test_changed_files_are_noticed(source: MemorySource, tmp_path: Path) -> None:
    stored = await fetch(source, "base", tmp_path)
    (stored.directory / "config.json").write_bytes(b"[]")
    with pytest.raises(ArtifactError) as changed:
        verify(stored)
    assert changed.value.reason == Reason.DIGEST_MISMATCH
