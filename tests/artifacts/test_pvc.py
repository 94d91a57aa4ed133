"""Claims: directories that pods mount read-only."""

from pathlib import Path

import pytest

from tests.artifacts.samples import write_adapter
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.opening import open_source
from tunefleet.artifacts.source import Source, read_all


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    claim = tmp_path / "sources" / "models"
    write_adapter(claim / "german" / "v1")
    return claim


async def read_everything(uri: str, root: Path) -> None:
    async with open_source(uri, {}, mount_root=root) as source:
        for file in await source.files():
            await read_all(source, file, 10**6)


async def reason_of(uri: str, root: Path) -> Reason:
    with pytest.raises(ArtifactError) as refused:
        await read_everything(uri, root)
    return refused.value.reason


async def test_files_of_a_directory(claim: Path) -> None:
    async with open_source("pvc://models/german/v1", {}, mount_root=claim.parent) as source:
        names = [file.name for file in await source.files()]
        assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
        file = (await source.files())[0]
        assert await source.read(file, 3, 7) == b"adapter"


@pytest.mark.parametrize("uri", ["pvc://nowhere/x", "pvc://models/nowhere", "pvc://models/german/v1/README.md"])
async def test_places_that_are_not_there(claim: Path, uri: str) -> None:
    assert await reason_of(uri, claim.parent) == Reason.SOURCE_NOT_FOUND


async def test_links_may_lead_elsewhere_in_the_claim_as_those_of_a_hub_cache_do(claim: Path) -> None:
    (claim / "blob").write_text("{}")
    (claim / "german" / "v1" / "tokenizer.json").symlink_to("../../blob")
    async with open_source("pvc://models/german/v1", {}, mount_root=claim.parent) as source:
        assert await content(source, "tokenizer.json") == b"{}"


async def test_links_that_lead_out_of_the_claim_are_refused(claim: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    (claim / "german" / "v1" / "tokenizer.json").symlink_to(tmp_path / "token")
    assert await reason_of("pvc://models/german/v1", claim.parent) == Reason.ACCESS_DENIED
    (claim / "out").symlink_to(tmp_path)
    assert await reason_of("pvc://models/out", claim.parent) == Reason.ACCESS_DENIED


async def test_a_file_that_changes_while_it_is_read_is_an_error(claim: Path) -> None:
    async with open_source("pvc://models/german/v1", {}, mount_root=claim.parent) as source:
        file = (await source.files())[1]
        (claim / "german" / "v1" / file.name).write_text("{}")
        with pytest.raises(ArtifactError) as changed:
            await source.read(file, 0, 2)
        assert "changed" in changed.value.message


@pytest.mark.parametrize("uri", ["ftp://x/y", "nonsense", "pvc://models/../../etc", "s3://b/p@1"])
async def test_uris_that_are_none(uri: str, tmp_path: Path) -> None:
    assert await reason_of(uri, tmp_path) == Reason.UNSUPPORTED_SOURCE


async def content(source: Source, name: str) -> bytes:
    file = next(file for file in await source.files() if file.name == name)
    return await read_all(source, file, 10**6)
