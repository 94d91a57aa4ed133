"""hf:// through the real huggingface_hub client, against a hub on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.artifacts.hub import COMMIT, OTHER_COMMIT, Hub, running_hub
from tests.artifacts.samples import write_adapter, write_base
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.opening import open_source


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    adapter, base = contents(write_adapter(tmp_path / "a")), contents(write_base(tmp_path / "b"))
    nested = {f"deep/er/{name}": content for name, content in adapter.items()}
    async with running_hub(
        Hub({"org/german": adapter, "org/base": base, "org/many": {**nested, "x.json": b""}})
    ) as hub:
        yield hub


def environment(hub: Hub, token: str = "") -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, **({"HF_TOKEN": token} if token else {})}


async def refusal(hub: Hub, uri: str, token: str = "") -> ArtifactError:
    with pytest.raises(ArtifactError) as refused:
        async with open_source(uri, environment(hub, token)):
            pass
    return refused.value


async def test_a_branch_is_resolved_to_a_commit(hub: Hub, tmp_path: Path) -> None:
    async with open_source("hf://org/german", environment(hub)) as source:
        assert source.uri == f"hf://org/german@{COMMIT}"
    async with open_source("hf://org/german@v2", environment(hub)) as source:
        assert source.uri == f"hf://org/german@{OTHER_COMMIT}"


async def test_a_branch_that_moves_later_changes_nothing(hub: Hub) -> None:
    async with open_source("hf://org/german@main", environment(hub)) as source:
        resolved = source.uri
    hub.revisions["main"] = OTHER_COMMIT
    async with open_source(resolved, environment(hub)) as source:
        assert source.uri == resolved == f"hf://org/german@{COMMIT}"
    async with open_source("hf://org/german@main", environment(hub)) as source:
        assert source.uri == f"hf://org/german@{OTHER_COMMIT}"


async def test_an_adapter_is_fetched_and_described(hub: Hub, tmp_path: Path) -> None:
    result = await inspect_adapter(Question("hf://org/german", environment(hub)), tmp_path / "out")
    assert result.resolved_uri == f"hf://org/german@{COMMIT}"
    assert result.adapter is not None
    assert result.adapter.rank == 8


async def test_a_directory_of_a_repository(hub: Hub, tmp_path: Path) -> None:
    async with open_source("hf://org/many/deep/er@main", environment(hub)) as source:
        stored = await fetch(source, "adapter", tmp_path / "out")
    assert set(stored.hashes) == {"adapter_config.json", "adapter_model.safetensors"}
    assert str(source.uri) == f"hf://org/many/deep/er@{COMMIT}"


async def test_the_digest_of_a_base_needs_no_transfer_of_its_weights(hub: Hub, tmp_path: Path) -> None:
    result = await inspect_base(Question("hf://org/base", environment(hub)))
    assert result.architecture is not None
    whole = hub.repositories["org/base"]["model.safetensors"]
    transferred = len(hub.storage_headers)
    async with open_source("hf://org/base", environment(hub)) as source:
        stored = await fetch(source, "base", tmp_path / "out")
    assert stored.digest == result.digest
    assert transferred == 1  # the header
    assert len(whole) > 1_000_000


async def test_the_token_goes_to_the_hub_and_nowhere_else(hub: Hub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    async with open_source("hf://org/german", environment(hub, "hf_secret")) as source:
        await fetch(source, "adapter", tmp_path / "out")
    assert hub.storage_headers
    assert not any("Authorization" in headers for headers in hub.storage_headers)


async def test_a_wrong_token(hub: Hub) -> None:
    hub.token = "hf_secret"
    error = await refusal(hub, "hf://org/german", "hf_wrong")
    assert error.reason == Reason.SOURCE_NOT_FOUND
    assert "HF_TOKEN" in error.message
    assert "hf_wrong" not in error.message


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("hf://org/nowhere", Reason.SOURCE_NOT_FOUND),
        ("hf://org/german@nowhere", Reason.SOURCE_NOT_FOUND),
        ("hf://org/german/nowhere", Reason.SOURCE_NOT_FOUND),
        ("hf://org/-bad-", Reason.SOURCE_NOT_FOUND),
    ],
)
async def test_what_is_not_there(hub: Hub, uri: str, reason: Reason) -> None:
    assert (await refusal(hub, uri)).reason == reason


async def test_a_gated_repository(hub: Hub) -> None:
    hub.gated = True
    error = await refusal(hub, "hf://org/german")
    assert error.reason == Reason.ACCESS_DENIED
    assert "terms" in error.message


@pytest.mark.parametrize(("status", "reason"), [(403, Reason.ACCESS_DENIED), (500, Reason.SOURCE_UNREADABLE)])
async def test_a_hub_that_refuses_everything(hub: Hub, status: int, reason: Reason) -> None:
    hub.status = status
    error = await refusal(hub, "hf://org/german")
    assert error.reason == reason
    assert error.transient


async def test_a_hub_that_is_not_there() -> None:
    with pytest.raises(ArtifactError) as refused:
        async with open_source("hf://org/german", {"HF_ENDPOINT": "http://127.0.0.1:9"}):
            pass
    assert refused.value.reason == Reason.SOURCE_UNREADABLE
    assert refused.value.transient


async def test_a_hub_that_goes_away_in_mid_transfer(hub: Hub, tmp_path: Path) -> None:
    async with open_source("hf://org/german", environment(hub)) as source:
        hub.status = 503
        with pytest.raises(ArtifactError) as cut:
            await fetch(source, "adapter", tmp_path / "out")
    assert cut.value.transient
