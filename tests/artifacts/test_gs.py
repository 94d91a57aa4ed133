"""gs:// against fake-gcs-server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import settings
from dev.builds import fakegcs
from dev.builds.gomodules import ensure
from tests.artifacts.cloud_servers import PLACE, CloudServer, running_gcs
from tests.artifacts.samples import write_adapter, write_base
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.opening import open_source

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
"""The server is built from Go modules, as the cluster's parts are; the first time takes minutes."""


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    binary = ensure(fakegcs.BUILD, settings.cache_directory()) / "fake-gcs-server"
    with running_gcs(binary, tmp_path_factory.mktemp("gcs")) as server:
        yield server


async def test_a_base_is_described_and_fetched_under_the_same_digest(gcs: CloudServer, tmp_path: Path) -> None:
    uri = gcs.upload(write_base(tmp_path / "local"), "bases/tiny")
    result = await inspect_base(Question(uri, gcs.environment))
    assert result.architecture is not None, result.message
    async with open_source(uri, gcs.environment) as source:
        stored = await fetch(source, "base", tmp_path / "out", digest=result.digest)
    assert stored.size_bytes == result.size_bytes


async def test_with_a_service_account(gcs: CloudServer, tmp_path: Path) -> None:
    uri = gcs.upload(write_adapter(tmp_path / "local"), "german/v1")
    key = json.dumps({"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True})
    environment = {**gcs.environment, "GOOGLE_SERVICE_ACCOUNT_KEY": key}
    result = await inspect_adapter(Question(uri, environment), tmp_path / "out")
    assert result.resolved_uri == uri
    assert result.adapter is not None, result.message


async def test_a_key_that_is_none(gcs: CloudServer, tmp_path: Path) -> None:
    environment = {**gcs.environment, "GOOGLE_SERVICE_ACCOUNT_KEY": '{"private_key": "hunter2"'}
    result = await inspect_adapter(Question(f"gs://{PLACE}/german/v1", environment), tmp_path / "out")
    assert result.reason == Reason.SOURCE_UNREADABLE
    assert "GOOGLE_SERVICE_ACCOUNT_KEY" in result.message
    assert "hunter2" not in result.message


async def test_what_is_not_there(gcs: CloudServer, tmp_path: Path) -> None:
    result = await inspect_adapter(Question(f"gs://{PLACE}/nowhere", gcs.environment), tmp_path)
    assert result.reason == Reason.SOURCE_NOT_FOUND
    assert result.transient


async def test_an_object_that_changes_while_it_is_read(gcs: CloudServer, tmp_path: Path) -> None:
    uri = gcs.upload(write_adapter(tmp_path / "local"), "changing")
    async with open_source(uri, gcs.environment) as source:
        file = next(file for file in await source.files() if file.name == "adapter_config.json")
        gcs.put(f"changing/{file.name}", b"{}" * 400)
        with pytest.raises(ArtifactError, match="changed") as changed:
            await source.read(file, 0, 10)
    assert changed.value.reason == Reason.SOURCE_UNREADABLE
