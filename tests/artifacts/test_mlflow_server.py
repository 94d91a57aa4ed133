"""mlflow:// against a real MLflow server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import settings
from dev.builds import gomodules, versitygw
from dev.servers import mlflow
from dev.servers.packages import ensure
from tests.artifacts.s3_server import BUCKET, running_s3
from tests.artifacts.samples import write_adapter, write_base
from tests.artifacts.tracking_server import TrackingServer, running_mlflow
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base
from tunefleet.artifacts.opening import open_source

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
"""The server is installed into the cache, as the cluster's parts are; the first time takes a minute or two."""


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    package = ensure(mlflow.PACKAGE, settings.cache_directory())
    with running_mlflow(package, tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def run(tracking: TrackingServer, tmp_path: Path) -> str:
    """A run that trained an adapter, and logged it under `peft`."""
    return tracking.train(
        write_adapter(tmp_path / "local", name=tmp_path.name),
        "peft",
        params={"learning_rate": "0.0001", "hf_token": "hf_of_the_author"},
        metrics={"eval_loss": "0.5"},
        tags={"team": "support", "mlflow.source.git.commit": "c0ffee"},
    )


async def inspected(tracking: TrackingServer, uri: str, work: Path) -> InspectionResult:
    return await inspect_adapter(Question(uri, tracking.environment), work)


async def test_a_version_with_what_its_run_tells(tracking: TrackingServer, run: str, tmp_path: Path) -> None:
    tracking.log_dataset(run, "tickets", "f00d")
    version = tracking.register("german", f"runs:/{run}/peft", run)
    result = await inspected(tracking, f"mlflow://german/{version}", tmp_path / "out")
    assert result.adapter is not None, result.message
    assert result.resolved_uri == f"mlflow://german/{version}"
    assert result.lineage is not None
    assert result.lineage | {"mlflow.run_name": "", "mlflow.experiment_id": ""} == {
        "mlflow.model": "german",
        "mlflow.version": version,
        "mlflow.run_id": run,
        "mlflow.run_name": "",
        "mlflow.experiment_id": "",
        "mlflow.source.git.commit": "c0ffee",
        "dataset.tickets": "f00d",
        "metric.eval_loss": "0.5",
        "param.learning_rate": "0.0001",
        "tag.team": "support",
    }


async def test_an_alias_is_resolved_to_a_version(tracking: TrackingServer, run: str, tmp_path: Path) -> None:
    first = tracking.register("aliased", f"runs:/{run}/peft", run)
    tracking.alias("aliased", "champion", first)
    result = await inspected(tracking, "mlflow://aliased@champion", tmp_path / "out")
    assert result.resolved_uri == f"mlflow://aliased/{first}", result.message
    assert result.lineage is not None
    assert result.lineage["mlflow.alias"] == "champion"
    other = tracking.train(write_adapter(tmp_path / "other", lora_alpha=32), "peft")
    tracking.alias("aliased", "champion", tracking.register("aliased", f"runs:/{other}/peft", other))
    again = await inspected(tracking, str(result.resolved_uri), tmp_path / "again")
    assert again.digest == result.digest
    assert (await inspected(tracking, "mlflow://aliased@champion", tmp_path / "moved")).digest != result.digest


async def test_a_directory_of_a_version(tracking: TrackingServer, run: str, tmp_path: Path) -> None:
    everything = str(tracking.get(f"runs/get?run_id={run}")["run"]["info"]["artifact_uri"])
    version = tracking.register("nested", everything, run)
    tracking.alias("nested", "champion", version)
    for uri in (f"mlflow://nested/{version}/peft", "mlflow://nested/peft@champion"):
        result = await inspected(tracking, uri, tmp_path / "out")
        assert result.resolved_uri == f"mlflow://nested/{version}/peft", result.message
    assert (await inspected(tracking, f"mlflow://nested/{version}", tmp_path)).reason == Reason.SOURCE_NOT_FOUND


async def test_a_base_is_described_and_fetched_under_the_same_digest(tracking: TrackingServer, tmp_path: Path) -> None:
    run = tracking.train(write_base(tmp_path / "local"), "model")
    uri = f"mlflow://tiny/{tracking.register('tiny', f'runs:/{run}/model', run)}"
    result = await inspect_base(Question(uri, tracking.environment))
    assert result.architecture is not None, result.message
    assert result.lineage is not None
    async with open_source(uri, tracking.environment) as source:
        stored = await fetch(source, "base", tmp_path / "out", digest=result.digest)
    assert stored.size_bytes == result.size_bytes


async def test_artifacts_in_a_bucket_are_read_from_the_bucket(tracking: TrackingServer, tmp_path: Path) -> None:
    binary = gomodules.ensure(versitygw.BUILD, settings.cache_directory()) / "versitygw"
    (tmp_path / "s3").mkdir()
    with running_s3(binary, tmp_path / "s3") as s3:
        s3.upload(write_adapter(tmp_path / "local"), "runs/7/artifacts/peft")
        version = tracking.register("in-a-bucket", f"s3://{BUCKET}/runs/7/artifacts")
        uri = f"mlflow://in-a-bucket/{version}/peft"
        result = await inspect_adapter(Question(uri, tracking.environment | s3.environment), tmp_path / "out")
        without_keys = await inspected(tracking, uri, tmp_path / "without")
    assert result.adapter is not None, result.message
    assert result.resolved_uri == uri
    assert without_keys.reason is not None


async def test_artifacts_that_only_their_author_can_read(tracking: TrackingServer, tmp_path: Path) -> None:
    version = tracking.register("elsewhere", "dbfs:/models/german")
    result = await inspected(tracking, f"mlflow://elsewhere/{version}", tmp_path)
    assert result.reason == Reason.UNSUPPORTED_SOURCE
    assert "--serve-artifacts" in result.message


@pytest.mark.parametrize(
    "uri", ["mlflow://nowhere/1", "mlflow://nowhere@champion", "mlflow://known/9", "mlflow://known@x"]
)
async def test_what_is_not_there(tracking: TrackingServer, run: str, uri: str, tmp_path: Path) -> None:
    tracking.register("known", f"runs:/{run}/peft", run)
    result = await inspected(tracking, uri, tmp_path)
    assert result.reason == Reason.SOURCE_NOT_FOUND, result.message
    assert result.transient
