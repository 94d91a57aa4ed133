"""https:// against a web server on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.artifacts.samples import base_tensors, write_adapter, write_base
from tests.artifacts.web_server import WebServer, running_web
from tunefleet.api.conditions import Reason
from tunefleet.artifacts import http
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.https import parse_sums, shard_names
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.opening import open_source

ADAPTER_FILES = {"adapter_config.json", "adapter_model.safetensors"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WebServer]:
    async with running_web(tmp_path / "pki") as server:
        yield server


@pytest.fixture
def adapter(server: WebServer, tmp_path: Path) -> str:
    """URI of an adapter with its SHA256SUMS."""
    return server.add(write_adapter(tmp_path / "local"), "german/v1")


async def refusal(uri: str, environment: dict[str, str], work: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as refused:
        async with open_source(uri, environment) as source:
            await fetch(source, "adapter", work)
    return refused.value


async def test_files_that_sha256sums_lists(server: WebServer, adapter: str, tmp_path: Path) -> None:
    result = await inspect_adapter(Question(adapter + "/", server.environment), tmp_path / "out")
    assert result.adapter is not None, result.message
    assert result.resolved_uri == adapter
    assert not [path for _, path, _ in server.requests if path.endswith("README.md")]


async def test_files_with_usual_names(server: WebServer, tmp_path: Path) -> None:
    listed = server.add(write_adapter(tmp_path / "local"), "listed")
    found = server.add(tmp_path / "local", "found", sums=False)
    results = [await inspect_adapter(Question(uri, server.environment), tmp_path / uri[-5:]) for uri in (listed, found)]
    assert results[0].digest == results[1].digest is not None


async def test_shards_that_an_index_names(server: WebServer, tmp_path: Path) -> None:
    directory = write_base(tmp_path / "local", base_tensors())
    tensors = sorted(base_tensors().items())
    (directory / "model.safetensors").unlink()
    halves = {"model-1.safetensors": dict(tensors[:10]), "model-2.safetensors": dict(tensors[10:])}
    for name, half in halves.items():
        (directory / name).write_bytes(save(half))
    map_ = ",".join(f'"{tensor}":"{name}"' for name, half in halves.items() for tensor in half)
    (directory / "model.safetensors.index.json").write_text(f'{{"weight_map":{{{map_}}}}}')
    result = await inspect_base(Question(server.add(directory, "base", sums=False), server.environment))
    assert result.architecture is not None, result.message
    assert result.architecture.parameters == sum(int(np.prod(t.shape)) for _, t in tensors)


async def test_with_sums_a_base_is_described_without_a_transfer_of_its_weights(
    server: WebServer, tmp_path: Path
) -> None:
    uri = server.add(write_base(tmp_path / "local"), "base")
    result = await inspect_base(Question(uri, server.environment))
    assert len([path for method, path, _ in server.requests if path.endswith(".safetensors") and method == "GET"]) == 1
    async with open_source(uri, server.environment) as source:
        stored = await fetch(source, "base", tmp_path / "out", digest=result.digest)
    assert stored.digest == result.digest


async def test_bytes_that_are_not_those_of_sha256sums(server: WebServer, adapter: str, tmp_path: Path) -> None:
    server.files["german/v1/adapter_config.json"] = b"{}"
    error = await refusal(adapter, server.environment, tmp_path / "out")
    assert error.reason == Reason.SOURCE_UNREADABLE
    assert error.transient  # somebody may be uploading
    assert "adapter_config.json has not the sha256" in error.message
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_listed_file_that_is_not_there(server: WebServer, adapter: str, tmp_path: Path) -> None:
    del server.files["german/v1/adapter_model.safetensors"]
    error = await refusal(adapter, server.environment, tmp_path)
    assert error.reason == Reason.SOURCE_NOT_FOUND
    assert "adapter_model.safetensors" in error.message


async def test_an_empty_place(server: WebServer, tmp_path: Path) -> None:
    error = await refusal(server.uri("nowhere"), server.environment, tmp_path)
    assert error.reason == Reason.SOURCE_NOT_FOUND
    assert "SHA256SUMS" in error.message


async def test_pickled_weights_are_named(server: WebServer, tmp_path: Path) -> None:
    server.files |= {"p/adapter_config.json": b"{}", "p/adapter_model.bin": b"pickle"}
    result = await inspect_adapter(Question(server.uri("p"), server.environment), tmp_path)
    assert result.reason == Reason.WEIGHTS_INVALID
    assert "pickle" in result.message


@pytest.mark.parametrize("conditions", [True, False], ids=["server checks", "client checks"])
async def test_a_file_that_changes_while_it_is_read(server: WebServer, adapter: str, conditions: bool) -> None:
    server.conditions = conditions
    async with open_source(adapter, server.environment) as source:
        file = next(file for file in await source.files() if file.name == "adapter_config.json")
        server.files["german/v1/adapter_config.json"] = b"{}" * 1000
        with pytest.raises(ArtifactError, match="changed") as changed:
            await source.read(file, 0, 10)
    assert changed.value.transient


async def test_a_server_without_ranges(
    server: WebServer, adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ranges = False
    async with open_source(adapter, server.environment) as source:
        file = next(file for file in await source.files() if file.name == "adapter_model.safetensors")
        assert await source.read(file, 5, 10) == server.files["german/v1/adapter_model.safetensors"][5:15]
        monkeypatch.setattr(http, "WHOLE_BYTES", 14)
        with pytest.raises(ArtifactError, match="range requests"):
            await source.read(file, 5, 10)


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"token": "long-token"}, "Bearer long-token"),
        ({"username": "me", "password": "pass-word"}, "Basic bWU6cGFzcy13b3Jk"),
    ],
    ids=["token", "password"],
)
async def test_credentials(server: WebServer, adapter: str, tmp_path: Path, keys: dict[str, str], header: str) -> None:
    server.authorization = header
    result = await inspect_adapter(Question(adapter, server.environment | keys), tmp_path / "out")
    assert result.adapter is not None, result.message
    error = await refusal(adapter, server.environment | dict.fromkeys(keys, "wrong-one"), tmp_path)
    assert error.reason == Reason.ACCESS_DENIED
    assert "secretRef" in error.message
    assert "wrong-one" not in error.message


async def test_credentials_stay_with_their_server(server: WebServer, adapter: str, tmp_path: Path) -> None:
    async with running_web(tmp_path / "pki") as other:
        other.add(tmp_path / "local", "blobs")
        name = "adapter_model.safetensors"
        server.redirects[f"german/v1/{name}"] = other.uri(f"blobs/{name}")
        result = await inspect_adapter(
            Question(adapter, server.environment | {"token": "long-token"}), tmp_path / "out"
        )
    assert result.adapter is not None, result.message
    assert other.requests
    assert not [headers for _, _, headers in other.requests if "Authorization" in headers]


async def test_a_redirect_to_plain_http_is_not_followed(server: WebServer, adapter: str, tmp_path: Path) -> None:
    server.redirects["german/v1/adapter_config.json"] = "http://127.0.0.1:9/x"
    error = await refusal(adapter, server.environment, tmp_path)
    assert error.reason == Reason.SOURCE_UNREADABLE
    assert "TLS" in error.message


@pytest.mark.parametrize("target", ["http://[", "mailto:me", "https://host:port/", "https://"])
async def test_redirects_to_nowhere(server: WebServer, adapter: str, tmp_path: Path, target: str) -> None:
    server.redirects["german/v1/SHA256SUMS"] = target
    error = await refusal(adapter, server.environment, tmp_path)
    assert error.reason == Reason.SOURCE_UNREADABLE
    assert error.transient


async def test_redirects_without_an_end(server: WebServer, adapter: str, tmp_path: Path) -> None:
    server.redirects["german/v1/SHA256SUMS"] = server.uri("german/v1/SHA256SUMS")
    assert "redirects" in (await refusal(adapter, server.environment, tmp_path)).message


async def test_a_certificate_of_an_unknown_authority(server: WebServer, adapter: str, tmp_path: Path) -> None:
    error = await refusal(adapter, {}, tmp_path)
    assert error.reason == Reason.SOURCE_UNREADABLE
    assert "CA_CERTIFICATE" in error.message


async def test_an_authority_that_is_none(server: WebServer, adapter: str, tmp_path: Path) -> None:
    error = await refusal(adapter, {"CA_CERTIFICATE": "-----BEGIN"}, tmp_path)
    assert error.reason == Reason.ACCESS_DENIED
    assert "PEM" in error.message


@pytest.mark.parametrize(
    "uri", ["https://127.0.0.1:9/x", "https://127.0.0.1:99999/x", "https://a..b/x", f"https://{'a' * 300}/x"]
)
async def test_a_server_that_is_not_there(tmp_path: Path, uri: str) -> None:
    error = await refusal(uri, {}, tmp_path)
    assert error.reason == Reason.SOURCE_UNREADABLE
    assert error.transient


HASH = "0" * 64


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (f"{HASH}  a.json\n{HASH} *b.safetensors\r\n\n", {"a.json", "b.safetensors"}),
        (f"{HASH}  ./a.json\n{HASH}  sub/b.json\n{HASH}  .hidden\n{HASH}  ../c.json\n", {"a.json"}),
        ("", set()),
    ],
)
def test_lines_of_sha256sums(content: str, names: set[str]) -> None:
    assert set(parse_sums(content.encode())) == names


@pytest.mark.parametrize("content", [b"<html>", b"abc  a.json", HASH.encode(), f"{HASH}  a\n".encode() * 1025])
def test_what_is_no_sha256sums(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="SHA256SUMS"):
        parse_sums(content)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"weight_map": {"a": "m-1.safetensors", "b": "../m-2", "c": 3}}', {"m-1.safetensors", "3"}),
        (b"[]", set()),
        (b'{"weight_map": [1]}', set()),
        (b"{", set()),
        (b"[" * 100000, set()),
    ],
)
def test_names_that_an_index_may_give(content: bytes, names: set[str]) -> None:
    assert shard_names(content) == names
