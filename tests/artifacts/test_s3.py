"""s3:// against a real S3 server."""

import time
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from dev import settings
from dev.builds import versitygw
from dev.builds.gomodules import ensure
from tests.artifacts.s3_server import BUCKET, S3Server, running_s3
from tests.artifacts.samples import write_adapter, write_base
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.opening import open_source
from tunefleet.artifacts.source import CHUNK_BYTES

pytestmark = pytest.mark.cluster
"""The server is built from Go modules, as the cluster's parts are."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    binary = ensure(versitygw.BUILD, settings.cache_directory()) / "versitygw"
    with running_s3(binary, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def adapter(s3: S3Server, tmp_path: Path) -> str:
    """URI of an adapter."""
    s3.upload(write_adapter(tmp_path / "local", name=tmp_path.name), f"team/{tmp_path.name}")
    return f"s3://{BUCKET}/team/{tmp_path.name}"


async def test_an_adapter_is_fetched_and_described(s3: S3Server, adapter: str, tmp_path: Path) -> None:
    result = await inspect_adapter(Question(adapter, s3.environment), tmp_path / "out")
    assert result.reason is None, result.message
    assert result.resolved_uri == adapter
    assert result.adapter is not None
    assert result.adapter.rank == 8


async def test_a_base_is_described_and_fetched_under_the_same_digest(s3: S3Server, tmp_path: Path) -> None:
    s3.upload(write_base(tmp_path / "local"), "bases/tiny")
    uri = f"s3://{BUCKET}/bases/tiny/"
    result = await inspect_base(Question(uri, s3.environment))
    assert result.architecture is not None
    async with open_source(uri, s3.environment) as source:
        stored = await fetch(source, "base", tmp_path / "out", digest=result.digest)
    assert stored.size_bytes == result.size_bytes


async def test_a_file_of_many_chunks(s3: S3Server, tmp_path: Path) -> None:
    content = bytes(range(256)) * (CHUNK_BYTES // 128) + b"end"
    obstore.put(s3.store(), "big/model.safetensors", content)
    async with open_source(f"s3://{BUCKET}/big", s3.environment) as source:
        stored = await fetch(source, "base", tmp_path)
    assert (stored.directory / "model.safetensors").read_bytes() == content


@pytest.mark.parametrize("place", [f"{BUCKET}/nowhere", "no-such-bucket/x"])
async def test_what_is_not_there(s3: S3Server, place: str, tmp_path: Path) -> None:
    result = await inspect_adapter(Question(f"s3://{place}", s3.environment), tmp_path)
    assert result.reason == Reason.SOURCE_NOT_FOUND
    assert result.transient


@pytest.mark.parametrize(
    "change",
    [{"AWS_SECRET_ACCESS_KEY": "hunter2"}, {"AWS_ACCESS_KEY_ID": "nobody"}, {"AWS_ACCESS_KEY_ID": ""}],
    ids=["secret", "key", "empty"],
)
async def test_wrong_keys(s3: S3Server, adapter: str, tmp_path: Path, change: dict[str, str]) -> None:
    result = await inspect_adapter(Question(adapter, s3.environment | change), tmp_path / "out")
    assert result.reason == Reason.ACCESS_DENIED
    assert "secretRef" in result.message
    for value in (s3.environment | change).values():
        if value.startswith(("a-long", "hunter2", "nobody")):
            assert value not in result.message


async def test_no_keys_at_all(s3: S3Server, adapter: str, tmp_path: Path) -> None:
    environment = {"AWS_ENDPOINT_URL": s3.endpoint}
    result = await inspect_adapter(Question(adapter, environment), tmp_path / "out")
    assert result.reason == Reason.ACCESS_DENIED


async def test_a_server_that_is_not_there_is_given_up_soon(tmp_path: Path) -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    began = time.monotonic()
    result = await inspect_adapter(Question("s3://b/p", environment), tmp_path)
    assert result.reason == Reason.SOURCE_UNREADABLE
    assert result.transient
    assert "does not answer" in result.message
    assert time.monotonic() - began < 60


async def test_an_object_that_changes_while_it_is_read(s3: S3Server, adapter: str) -> None:
    async with open_source(adapter, s3.environment) as source:
        file = next(file for file in await source.files() if file.name == "adapter_config.json")
        obstore.put(s3.store(), f"{adapter.removeprefix(f's3://{BUCKET}/')}/{file.name}", b"{}" * 400)
        with pytest.raises(ArtifactError) as changed:
            await source.read(file, 0, 10)
    assert changed.value.reason == Reason.SOURCE_UNREADABLE
    assert "changed" in changed.value.message
