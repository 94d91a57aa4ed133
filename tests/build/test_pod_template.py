"""A new operator never restarts an engine in place."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.plan.fleet import base_files, base_model, endpoint
from tests.plan.simulation import Cluster
from tunefleet.build import engine_containers
from tunefleet.build.pod_template import pod_template


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    pod_template.cache_clear()


def change_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another version of the operator, which lets engines go on longer."""
    monkeypatch.setattr(engine_containers, "PRE_STOP_SECONDS", 9)
    pod_template.cache_clear()


def deployments(cluster: Cluster) -> dict[str, Any]:
    return {ref.name: child for ref, child in cluster.children.items() if ref.kind == "Deployment"}


def test_another_form_of_pod_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pod_template()
    assert pod_template() == before
    change_pods(monkeypatch)
    assert pod_template() != before


def test_running_engines_keep_their_form_and_new_ones_come_up_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1")})
    cluster.add(base_model(), endpoint())
    cluster.settle()
    before = deployments(cluster)
    change_pods(monkeypatch)
    cluster.settle()
    after = deployments(cluster)
    assert len(after) == 2
    assert {name: after[name] for name in before} == before, "not touched"
    assert {r.name in before: r.state for r in cluster.endpoint().status.revisions} == {True: "Warm", False: "Serving"}
    cluster.settle_for(400)
    assert not set(before) & set(deployments(cluster))
