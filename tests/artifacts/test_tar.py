"""Archives that stream by: every regular file where it lies, and nothing of a broken one."""

import asyncio
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.tar import MAX_EXTENDED_BYTES, Archive, read_archive

FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


def archived(files: dict[str, bytes], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tar_format) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = 1.5 if tar_format == tarfile.PAX_FORMAT else 1
            tar.addfile(member, io.BytesIO(content))
    return written.getvalue()


def read(content: bytes, block: int = 700) -> Archive:
    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), block):
            yield content[start : start + block]

    return asyncio.run(read_archive(blocks()))


@pytest.mark.parametrize("tar_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("block", [1, 512, 700, 10**6])
def test_files_are_where_the_archive_says(tar_format: int, block: int) -> None:
    files = {"config.json": b"{}", "empty": b"", "model.safetensors": bytes(range(256)) * 5, "deep/er/x": b"x" * 512}
    content = archived(files, tar_format)
    archive = read(content, block)
    assert archive.sha256 == hashlib.sha256(content).hexdigest()
    assert {m.name: content[m.offset : m.offset + m.size] for m in archive.members} == files
    assert all(m.sha256 == hashlib.sha256(files[m.name]).hexdigest() for m in archive.members)


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
@pytest.mark.parametrize("name", ["long/" * 60 + "name", "umläut.json"])
def test_names_that_do_not_fit_a_header(tar_format: int, name: str) -> None:
    assert [member.name for member in read(archived({name: b"x", "b": b"y"}, tar_format)).members] == [name, "b"]


def test_links_devices_and_directories_are_passed_over() -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("x")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        file = tarfile.TarInfo("./adapter_config.json")
        file.size = 2
        tar.addfile(file, io.BytesIO(b"{}"))
    assert [member.name for member in read(written.getvalue()).members] == ["adapter_config.json"]


@pytest.mark.parametrize("cut", [1, 511, 600, 1100])
def test_a_cut_archive(cut: int) -> None:
    with pytest.raises(ArtifactError, match="cut"):
        read(archived({"a": b"x" * 600}, tarfile.USTAR_FORMAT)[:cut])


def test_what_is_no_archive() -> None:
    with pytest.raises(ArtifactError, match="not an archive"):
        read(b"x" * 1024)


def test_extended_headers_are_not_read_at_any_length() -> None:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, MAX_EXTENDED_BYTES + 1
    with pytest.raises(ArtifactError, match="extended header"):
        read(member.tobuf(tarfile.USTAR_FORMAT) + bytes(2**20))


@pytest.mark.parametrize(
    "records", [b"9 path=x\n", b"x path=y\n", b"99999999999999999999 a=b\n", b"3\n", b"12 size=-12\n"]
)
def test_extended_headers_that_lie(records: bytes) -> None:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, len(records)
    header = member.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0")
    with suppress(ArtifactError):  # and nothing else
        archive = read(header + archived({"a": b"x"}, tarfile.USTAR_FORMAT))
        assert all(member.size >= 0 for member in archive.members)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_an_archive_with_changed_bytes_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(archived({"adapter_config.json": b"{}", "m" * 150: b"y" * 700}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ArtifactError):
        archive = read(bytes(content))
        assert all(0 <= m.offset <= m.offset + m.size <= len(content) for m in archive.members)
