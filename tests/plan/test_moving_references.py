"""Branches, tags and aliases: resolved once, and everything after that speaks of what they were resolved to."""

import json

import pytest

from tests.plan.fleet import adapter_files, adapter_version, base_files, endpoint, lora_adapter, metadata
from tests.plan.simulation import Cluster
from tunefleet.api.base_model import BaseModel
from tunefleet.api.inspection import InspectionResult
from tunefleet.plan.inspection import RETRY_SECONDS

DIGEST, COMMIT = "sha256:" + "0" * 64, "0123456789" * 4
REFERENCES = {
    "hf://org/german": f"hf://org/german@{COMMIT}",
    "hf://org/german/de@main": f"hf://org/german/de@{COMMIT}",
    "oci://registry.example.com/german:v1": f"oci://registry.example.com/german@{DIGEST}",
    "mlflow://german@champion": "mlflow://german/3",
}
BASE, RESOLVED_BASE = "oci://registry.example.com/tiny:latest", f"oci://registry.example.com/tiny@{DIGEST}"
LINEAGE = {"mlflow.run_id": "7", "metric.loss": "0.5"}


def resolved(result: InspectionResult, uri: str) -> InspectionResult:
    return result.model_copy(update={"resolved_uri": uri, "lineage": LINEAGE})


def cluster_of(uri: str) -> Cluster:
    files = {
        BASE: resolved(base_files("base"), RESOLVED_BASE),
        uri: resolved(adapter_files("german"), REFERENCES[uri]),
    }
    cluster = Cluster(files=files)
    spec = {"versions": [{"version": 1, "source": {"uri": BASE}}]}
    cluster.add(BaseModel.read({"metadata": metadata("tiny"), "spec": spec}), endpoint())
    cluster.add(lora_adapter("german", [adapter_version("german", 1, source={"uri": uri})]))
    cluster.settle()
    return cluster


def fetched(cluster: Cluster) -> set[str]:
    """URIs that agents were told to fetch from."""
    return {adapter.uri for process in cluster.processes.values() for adapter in process.desired or ()}


@pytest.mark.parametrize(("uri", "pinned"), REFERENCES.items())
def test_agents_fetch_from_what_the_reference_was_resolved_to(uri: str, pinned: str) -> None:
    cluster = cluster_of(uri)
    entry = cluster.adapter("german").status.versions[0]
    assert (entry.resolved_uri, entry.lineage) == (pinned, LINEAGE)
    assert cluster.adapter("german").status.serving_version == 1
    assert fetched(cluster) == {pinned}


@pytest.mark.parametrize("uri", REFERENCES)
def test_a_reference_that_moves_later_changes_nothing(uri: str) -> None:
    cluster = cluster_of(uri)
    before = cluster.adapter("german").status.versions
    cluster.files = {
        place: result.model_copy(update={"digest": f"sha256:{'f' * 64}", "resolved_uri": f"{result.resolved_uri}"})
        for place, result in cluster.files.items()
    }
    cluster.scale(2)
    cluster.kill_pod(cluster.engine_pods()[0])
    cluster.settle()
    assert cluster.adapter("german").status.versions == before
    assert fetched(cluster) == {REFERENCES[uri]}


def test_engine_pods_fetch_the_base_from_what_its_reference_was_resolved_to() -> None:
    cluster = cluster_of("hf://org/german")
    entry = cluster.base().status.versions[0]
    assert (entry.resolved_uri, entry.lineage) == (RESOLVED_BASE, LINEAGE)
    deployments = [child for ref, child in cluster.children.items() if ref.kind == "Deployment"]
    assert deployments
    assert all(RESOLVED_BASE in json.dumps(d) and BASE not in json.dumps(d) for d in deployments)


def test_the_next_version_is_resolved_anew() -> None:
    uri = "hf://org/german"
    cluster = cluster_of(uri)
    moved = f"hf://org/german@{COMMIT[::-1]}"
    cluster.files[uri] = resolved(adapter_files("other"), moved)
    versions = [adapter_version("german", number, source={"uri": uri}) for number in (1, 2)]
    cluster.settle_for(RETRY_SECONDS)  # so long an agent's answer stands for the same question
    cluster.add(lora_adapter("german", versions))
    cluster.settle()
    entries = cluster.adapter("german").status.versions
    assert [entry.resolved_uri for entry in entries] == [REFERENCES[uri], moved]
