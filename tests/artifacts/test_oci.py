"""oci:// against real registries, with and without passwords and tokens."""

import asyncio
import base64
import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dev import settings
from dev.builds import distribution
from dev.builds.gomodules import ensure
from tests.artifacts.registry import (
    MODEL,
    PASSWORD,
    USER,
    Blob,
    Registry,
    TokenService,
    htpasswd,
    raw_model,
    running_registry,
    titled,
)
from tests.artifacts.samples import adapter_tensors, write_adapter, write_base
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.artifacts import oci
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.oci import OciSource
from tunefleet.artifacts.oci_manifest import INDEX
from tunefleet.artifacts.opening import open_source

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
"""The registry is built from Go modules, as the cluster's parts are; the first time takes minutes."""

ACCOUNT = {"username": USER, "password": PASSWORD}


@pytest.fixture(scope="module")
def binary() -> Path:
    return ensure(distribution.BUILD, settings.cache_directory()) / "registry"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of all registries of this module."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(binary: Path, directory: Path) -> Iterator[Registry]:
    with running_registry(binary, directory, "open") as registry:
        yield registry


@pytest.fixture(scope="module")
def with_password(binary: Path, directory: Path) -> Iterator[Registry]:
    with running_registry(binary, directory, "password", **htpasswd(directory)) as registry:
        yield registry


@pytest.fixture(scope="module")
def tokens() -> TokenService:
    return TokenService()


@pytest.fixture(scope="module")
def with_tokens(binary: Path, directory: Path, tokens: TokenService) -> Iterator[Registry]:
    with running_registry(binary, directory, "tokens", **tokens.configuration(directory)) as registry:
        yield registry


@pytest.fixture
async def token_service(tokens: TokenService) -> AsyncIterator[TokenService]:
    tokens.lifetime = 300
    tokens.given.clear()
    async with tokens.running():
        yield tokens


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "local", name=tmp_path.name)


def archive(directory: Path, tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tar_format) as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, path.name)
    return written.getvalue()


async def inspected(uri: str, work: Path, environment: dict[str, str] | None = None) -> InspectionResult:
    return await inspect_adapter(Question(uri, environment or {}), work)


async def test_a_tag_is_resolved_to_the_manifests_digest(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    digest = registry.push("team/german", "v1", titled(adapter))
    result = await inspected(registry.uri("team/german:v1"), tmp_path / "out")
    assert result.adapter is not None, result.message
    assert result.resolved_uri == registry.uri(f"team/german@{digest}")


async def test_a_tag_that_moves_later_changes_nothing(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    registry.push("team/moving", "latest", titled(adapter))
    first = await inspected(registry.uri("team/moving:latest"), tmp_path / "first")
    registry.push("team/moving", "latest", titled(write_adapter(tmp_path / "other", lora_alpha=32)))
    assert first.resolved_uri is not None
    again = await inspected(first.resolved_uri, tmp_path / "again")
    assert again.digest == first.digest
    assert again.resolved_uri == first.resolved_uri
    assert (await inspected(registry.uri("team/moving:latest"), tmp_path / "moved")).digest != first.digest


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
async def test_every_kind_of_artifact_holds_the_same_version(
    registry: Registry, adapter: Path, tmp_path: Path, tar_format: int
) -> None:
    packed = archive(adapter, tar_format)
    kinds = {
        "oras": titled(adapter),
        "raw": raw_model(adapter),
        "tar": [Blob(packed, f"{MODEL}.weight.v1.tar", {"org.cncf.model.filepath": "german"})],
        "image": [Blob(packed, "application/vnd.oci.image.layer.v1.tar")],
    }
    for kind, layers in kinds.items():
        registry.push(f"kinds/{kind}", "v1", layers)
    results = [await inspected(registry.uri(f"kinds/{kind}:v1"), tmp_path / kind) for kind in kinds]
    assert len({result.digest for result in results}) == 1
    assert results[0].digest is not None, results[0].message


async def test_a_base_is_described_without_a_transfer_and_fetched_under_the_same_digest(
    registry: Registry, tmp_path: Path
) -> None:
    registry.push("bases/tiny", "v1", raw_model(write_base(tmp_path / "local")))
    result = await inspect_base(Question(registry.uri("bases/tiny:v1"), {}))
    assert result.architecture is not None, result.message
    assert result.resolved_uri is not None
    async with open_source(result.resolved_uri, {}) as source:
        stored = await fetch(source, "base", tmp_path / "out", digest=result.digest)
    assert stored.size_bytes == result.size_bytes


def damage(blob: Blob, directory: Path) -> None:
    """Change the last byte of a blob where the registry keeps it."""
    name = str(blob.descriptor["digest"]).removeprefix("sha256:")
    (stored,) = directory.glob(f"data/**/{name}/data")
    stored.write_bytes(blob.content[:-1] + bytes([blob.content[-1] ^ 1]))


async def test_a_blob_that_is_damaged_in_the_registry(registry: Registry, tmp_path: Path, directory: Path) -> None:
    only_here = write_adapter(tmp_path / "local", adapter_tensors(seed=99))
    layers, packed = titled(only_here), Blob(archive(only_here), f"{MODEL}.weight.v1.tar")
    registry.push("team/damaged", "v1", layers)
    registry.push("team/damaged", "tar", [packed])
    damage(layers[-1], directory)
    damage(packed, directory)
    for tag in ("v1", "tar"):
        result = await inspected(registry.uri(f"team/damaged:{tag}"), tmp_path / tag)
        assert result.reason == Reason.SOURCE_UNREADABLE
        assert "sha256" in result.message


async def test_an_index_of_one_manifest_stands_for_it(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    digest = registry.push("team/indexed", "inner", titled(adapter))
    size = len(json.dumps({}))
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    registry.push_manifest("team/indexed", "one", index)
    registry.push_manifest("team/indexed", "two", {**index, "manifests": [entry, entry]})
    result = await inspected(registry.uri("team/indexed:one"), tmp_path / "one")
    assert result.resolved_uri == registry.uri(f"team/indexed@{digest}"), result.message
    refused = await inspected(registry.uri("team/indexed:two"), tmp_path / "two")
    assert refused.reason == Reason.UNSUPPORTED_SOURCE
    assert "by its digest" in refused.message


async def test_compressed_layers_are_refused_with_advice(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    layer = Blob(gzip.compress(archive(adapter)), f"{MODEL}.weight.v1.tar+gzip", {"org.cncf.model.filepath": "german"})
    registry.push("team/compressed", "v1", [layer])
    result = await inspected(registry.uri("team/compressed:v1"), tmp_path)
    assert result.reason == Reason.UNSUPPORTED_SOURCE
    assert "push the files raw" in result.message


async def test_an_artifact_without_names(registry: Registry, tmp_path: Path) -> None:
    registry.push("team/nameless", "v1", [Blob(b"x", "application/octet-stream")])
    result = await inspected(registry.uri("team/nameless:v1"), tmp_path)
    assert result.reason == Reason.SOURCE_NOT_FOUND


@pytest.mark.parametrize("reference", ["nowhere/x:v1", "team/german:nowhere", f"team/german@sha256:{'0' * 64}"])
async def test_what_is_not_there(registry: Registry, reference: str, tmp_path: Path) -> None:
    result = await inspected(registry.uri(reference), tmp_path)
    assert result.reason == Reason.SOURCE_NOT_FOUND
    assert result.transient


def docker_config(host: str) -> dict[str, str]:
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    accounts = {"https://other.example.com/v1/": {"auth": "eA=="}, f"http://{host}": {"auth": auth}}
    return {".dockerconfigjson": json.dumps({"auths": accounts})}


async def test_a_password(registry: Registry, with_password: Registry, adapter: Path, tmp_path: Path) -> None:
    registry.push("team/private", "v1", titled(adapter))
    uri = with_password.uri("team/private:v1")
    for number, secret in enumerate((ACCOUNT, docker_config(with_password.host))):
        result = await inspected(uri, tmp_path / str(number), secret)
        assert result.adapter is not None, result.message


async def test_a_token_is_asked_for_once_and_again_when_it_is_not_taken_any_more(
    registry: Registry, with_tokens: Registry, token_service: TokenService, adapter: Path
) -> None:
    registry.push("team/tokens", "v1", titled(adapter))
    async with open_source(with_tokens.uri("team/tokens:v1"), ACCOUNT) as source:
        assert isinstance(source, OciSource)
        files = await source.files()
        await source.read(files[0], 0, 1)
        assert token_service.given == ["repository:team/tokens:pull"]
        source.registry._authorization = "Bearer of yesterday"
        await asyncio.gather(*(source.read(file, 0, 1) for file in files))
        assert len(token_service.given) == 2


async def test_a_token_that_the_registry_does_not_take(
    registry: Registry, with_tokens: Registry, token_service: TokenService, adapter: Path, tmp_path: Path
) -> None:
    registry.push("team/tokens", "v1", titled(adapter))
    token_service.lifetime = -3000
    result = await inspected(with_tokens.uri("team/tokens:v1"), tmp_path / "out", ACCOUNT)
    assert result.reason == Reason.ACCESS_DENIED
    assert len(token_service.given) == 1


@pytest.mark.parametrize("secret", [{}, ACCOUNT | {"password": "wrong-one"}], ids=["none", "wrong"])
async def test_wrong_passwords(
    registry: Registry,
    with_password: Registry,
    with_tokens: Registry,
    token_service: TokenService,
    adapter: Path,
    tmp_path: Path,
    secret: dict[str, str],
) -> None:
    registry.push("team/private", "v1", titled(adapter))
    for closed in (with_password, with_tokens):
        result = await inspected(closed.uri("team/private:v1"), tmp_path / "out", secret)
        assert result.reason == Reason.ACCESS_DENIED, result.message
        assert "secretRef" in result.message
        assert "wrong-one" not in result.message


@pytest.mark.parametrize("config", ["{", "[]", '{"auths": {"HOST": {"auth": "!"}}}', '{"auths": {"HOST": {}}}'])
async def test_a_docker_config_that_is_none(registry: Registry, tmp_path: Path, config: str) -> None:
    secret = {".dockerconfigjson": config.replace("HOST", registry.host)}
    result = await inspected(registry.uri("team/german:v1"), tmp_path, secret)
    assert result.reason == Reason.ACCESS_DENIED
    assert ".dockerconfigjson" in result.message


@pytest.mark.parametrize("host", ["127.0.0.1:9", "127.0.0.1:99999", "a..b"])
async def test_a_registry_that_is_not_there(tmp_path: Path, host: str) -> None:
    result = await inspected(f"oci://{host}/team/german:v1", tmp_path)
    assert result.reason == Reason.SOURCE_UNREADABLE
    assert result.transient


async def test_without_tls_only_where_the_secret_says_so(
    registry: Registry, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push("team/plain", "v1", titled(adapter))
    monkeypatch.setattr(oci, "_LOOPBACK", frozenset())
    uri = registry.uri("team/plain:v1")
    for key in ({}, {"OCI_PLAIN_HTTP": "yes"}):
        assert (await inspected(uri, tmp_path / "tls", key)).reason == Reason.SOURCE_UNREADABLE
    plain = await inspected(uri, tmp_path / "plain", {"OCI_PLAIN_HTTP": "true"})
    assert plain.adapter is not None, plain.message
