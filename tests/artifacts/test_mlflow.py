"""mlflow://: what the tracking server may answer, and who may ask. test_mlflow_server has a real one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.samples import write_adapter
from tests.artifacts.web_server import WebServer, running_web
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.artifacts.inspection import Question, inspect_adapter

API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WebServer]:
    """An MLflow that knows version 3 of `german`, whose artifacts are the web server's own."""
    async with running_web(tmp_path / "pki") as server:
        answer(server, f"{API}/model-versions/get", model_version={"name": "german", "version": "3", "run_id": "7"})
        answer(server, f"{API}/model-versions/get-download-uri", artifact_uri="mlflow-artifacts:/0/7/peft")
        answer(server, f"{API}/runs/get", run={"info": {"run_id": "7"}})
        server.add(write_adapter(tmp_path / "local"), f"{ARTIFACTS}/0/7/peft", sums=False)
        files = [{"path": path.name, "file_size": path.stat().st_size} for path in (tmp_path / "local").iterdir()]
        answer(server, ARTIFACTS, files=[*files, {"path": "deeper", "is_dir": True}])
        yield server


def answer(server: WebServer, route: str, **document: Any) -> None:
    server.files[route] = json.dumps(document).encode()


async def inspected(server: WebServer, work: Path, **keys: str) -> InspectionResult:
    environment = server.environment | {"MLFLOW_TRACKING_URI": f"{server.url}/"} | keys
    return await inspect_adapter(Question("mlflow://german/3", environment), work)


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "long-token"}, "Bearer long-token"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pass-word"}, "Basic bWU6cGFzcy13b3Jk"),
    ],
    ids=["open", "token", "password"],
)
async def test_credentials(server: WebServer, tmp_path: Path, keys: dict[str, str], header: str | None) -> None:
    server.authorization = header
    result = await inspected(server, tmp_path / "out", **keys)
    assert result.adapter is not None, result.message
    assert result.resolved_uri == "mlflow://german/3"


async def test_wrong_credentials(server: WebServer, tmp_path: Path) -> None:
    server.authorization = "Bearer long-token"
    result = await inspected(server, tmp_path, MLFLOW_TRACKING_TOKEN="wrong-one")
    assert result.reason == Reason.ACCESS_DENIED
    assert "MLFLOW_TRACKING_TOKEN" in result.message
    assert "wrong-one" not in result.message


async def test_credentials_are_not_in_the_lineage(server: WebServer, tmp_path: Path) -> None:
    params = [{"key": "note", "value": "read with long-token"}, {"key": "rank", "value": "8"}]
    answer(server, f"{API}/runs/get", run={"info": {"run_id": "7"}, "data": {"params": params}})
    result = await inspected(server, tmp_path, MLFLOW_TRACKING_TOKEN="long-token")
    assert result.lineage is not None
    assert result.lineage["param.rank"] == "8"
    assert "long-token" not in str(result.lineage)


async def test_a_run_that_was_deleted_tells_nothing(server: WebServer, tmp_path: Path) -> None:
    server.files[f"{API}/runs/get"] = b"{}"
    result = await inspected(server, tmp_path)
    assert result.adapter is not None, result.message
    assert result.lineage == {"mlflow.model": "german", "mlflow.version": "3"}


async def test_a_logged_models_artifacts(server: WebServer, tmp_path: Path) -> None:
    answer(server, f"{API}/model-versions/get-download-uri", artifact_uri="models:/m-1")
    answer(server, f"{API}/logged-models/m-1", model={"info": {"artifact_uri": "mlflow-artifacts:/0/7/peft"}})
    result = await inspected(server, tmp_path)
    assert result.adapter is not None, result.message


@pytest.mark.parametrize(
    ("route", "document", "reason"),
    [
        ("model-versions/get", {"model_version": {"version": "3", "status": "PENDING"}}, Reason.SOURCE_NOT_FOUND),
        ("model-versions/get", {}, Reason.SOURCE_NOT_FOUND),
        ("model-versions/get-download-uri", {"artifact_uri": ["x"]}, Reason.SOURCE_NOT_FOUND),
        ("model-versions/get-download-uri", {}, Reason.SOURCE_NOT_FOUND),
        ("model-versions/get-download-uri", {"artifact_uri": "runs:/nowhere/x"}, Reason.SOURCE_NOT_FOUND),
        ("model-versions/get-download-uri", {"artifact_uri": "models:/nowhere"}, Reason.SOURCE_NOT_FOUND),
        ("model-versions/get-download-uri", {"artifact_uri": "file:///etc"}, Reason.UNSUPPORTED_SOURCE),
        ("model-versions/get-download-uri", {"artifact_uri": "s3://b/../c"}, Reason.UNSUPPORTED_SOURCE),
        ("model-versions/get-download-uri", {"artifact_uri": "pvc://claim/x"}, Reason.UNSUPPORTED_SOURCE),
        ("model-versions/get-download-uri", {"artifact_uri": "mlflow-artifacts:/a/../../x"}, Reason.SOURCE_UNREADABLE),
        ("model-versions/get-download-uri", {"artifact_uri": "mlflow-artifacts://["}, Reason.SOURCE_UNREADABLE),
    ],
)
async def test_answers_without_a_place(
    server: WebServer, tmp_path: Path, route: str, document: dict[str, Any], reason: Reason
) -> None:
    answer(server, f"{API}/{route}", **document)
    server.files[f"{API}/logged-models/nowhere"] = b"{}"
    if "nowhere" in str(document):
        server.files[f"{API}/runs/get"] = b"{}"
    result = await inspected(server, tmp_path)
    assert result.reason == reason, result.message


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"[" * 100000], ids=["html", "list", "deep"])
async def test_a_server_that_is_no_mlflow(server: WebServer, tmp_path: Path, content: bytes) -> None:
    for route in (ARTIFACTS, f"{API}/model-versions/get"):
        server.files[route] = content
        result = await inspected(server, tmp_path)
        assert result.reason == Reason.SOURCE_UNREADABLE
        assert "MLFLOW_TRACKING_URI" in result.message


@pytest.mark.parametrize("uri", ["", "sqlite:///x.db", "http://[", "http://host:port"])
async def test_a_secret_without_a_server(tmp_path: Path, uri: str) -> None:
    result = await inspect_adapter(Question("mlflow://german/3", {"MLFLOW_TRACKING_URI": uri}), tmp_path)
    assert result.reason == Reason.ACCESS_DENIED
    assert "MLFLOW_TRACKING_URI" in result.message
