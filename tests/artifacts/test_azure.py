"""az:// against Azurite."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import settings
from dev.servers import azurite
from dev.servers.packages import ensure
from tests.artifacts.cloud_servers import PLACE, CloudServer, running_azurite
from tests.artifacts.samples import write_adapter, write_base
from tests.missing import without
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.opening import open_source

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
"""The server is installed into the cache, as the cluster's parts are."""


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    if shutil.which("npm") is None:
        without("Azurite is installed with npm, which is not here")
    package = ensure(azurite.PACKAGE, settings.cache_directory())
    with running_azurite(package, tmp_path_factory.mktemp("azurite")) as server:
        yield server


async def test_a_base_is_described_and_fetched_under_the_same_digest(azure: CloudServer, tmp_path: Path) -> None:
    uri = azure.upload(write_base(tmp_path / "local"), "bases/tiny")
    result = await inspect_base(Question(uri, azure.environment))
    assert result.architecture is not None, result.message
    async with open_source(uri, azure.environment) as source:
        stored = await fetch(source, "base", tmp_path / "out", digest=result.digest)
    assert stored.size_bytes == result.size_bytes


async def test_an_adapter_is_fetched_and_described(azure: CloudServer, tmp_path: Path) -> None:
    uri = azure.upload(write_adapter(tmp_path / "local"), "german/v1")
    result = await inspect_adapter(Question(uri, azure.environment), tmp_path / "out")
    assert result.resolved_uri == uri
    assert result.adapter is not None, result.message


@pytest.mark.parametrize(
    "key", [base64.b64encode(b"another key").decode(), None], ids=["of another account", "none at all"]
)
async def test_wrong_keys(azure: CloudServer, key: str | None, tmp_path: Path) -> None:
    uri = azure.upload(write_adapter(tmp_path / "local"), "german/v2")
    environment = {k: v for k, v in azure.environment.items() if k != "AZURE_STORAGE_ACCOUNT_KEY"}
    result = await inspect_adapter(
        Question(uri, environment | ({"AZURE_STORAGE_ACCOUNT_KEY": key} if key else {})), tmp_path / "out"
    )
    assert result.reason in {Reason.ACCESS_DENIED, Reason.SOURCE_NOT_FOUND}, result.message
    assert result.transient
    assert (key or "nothing") not in result.message


async def test_a_secret_without_an_account(azure: CloudServer, tmp_path: Path) -> None:
    result = await inspect_adapter(Question(f"az://{PLACE}/german/v1", {}), tmp_path / "out")
    assert result.reason == Reason.ACCESS_DENIED
    assert "AZURE_STORAGE_ACCOUNT_NAME" in result.message


@pytest.mark.parametrize("place", [f"{PLACE}/nowhere", "no-such-container/x"])
async def test_what_is_not_there(azure: CloudServer, place: str, tmp_path: Path) -> None:
    result = await inspect_adapter(Question(f"az://{place}", azure.environment), tmp_path)
    assert result.reason == Reason.SOURCE_NOT_FOUND
    assert result.transient


async def test_a_blob_that_changes_while_it_is_read(azure: CloudServer, tmp_path: Path) -> None:
    uri = azure.upload(write_adapter(tmp_path / "local"), "changing")
    async with open_source(uri, azure.environment) as source:
        file = next(file for file in await source.files() if file.name == "adapter_config.json")
        azure.put(f"changing/{file.name}", b"{}" * 400)
        with pytest.raises(ArtifactError, match="changed") as changed:
            await source.read(file, 0, 10)
    assert changed.value.reason == Reason.SOURCE_UNREADABLE
