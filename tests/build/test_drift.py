"""When a child has to be written, and when not."""

from typing import Any

import pytest

from tests.build.golden_manifests import CHILDREN, access, inspection, workload
from tunefleet.api.names import ANNOTATION_APPLIED
from tunefleet.build.children import manifests
from tunefleet.build.drift import differs, sealed
from tunefleet.build.engine_deployment import engine_deployment
from tunefleet.build.secret import secret

ALL = [manifest for child in CHILDREN.values() for manifest in manifests(child)]


@pytest.mark.parametrize("manifest", ALL, ids=lambda m: f"{m['kind']}-{m['metadata']['name']}")
def test_what_stands_as_applied_is_left_alone(manifest: dict[str, Any]) -> None:
    wanted = sealed(manifest)
    observed = {**wanted, "status": {"any": 1}, "metadata": {**wanted["metadata"], "uid": "u", "managedFields": []}}
    assert differs(wanted, observed) is None


def test_what_is_missing_is_written() -> None:
    assert differs(sealed(engine_deployment(workload())), None) == "missing"


def test_an_altered_field_is_found() -> None:
    wanted = sealed(engine_deployment(workload()))
    observed = {**wanted, "spec": {**wanted["spec"], "replicas": 5}}
    assert differs(wanted, observed) == "spec.replicas"


def test_a_field_of_somebody_else_is_left_alone() -> None:
    wanted = sealed(engine_deployment(workload()))
    observed = {**wanted, "spec": {**wanted["spec"], "minReadySeconds": 3}}
    assert differs(wanted, observed) is None


def test_an_element_that_was_added_to_a_list_is_found() -> None:
    wanted = sealed(manifests(access())[1])
    observed = {**wanted, "rules": [*wanted["rules"], {"verbs": ["*"]}]}
    assert differs(wanted, observed) == "rules"


def test_a_field_that_is_no_longer_set_shows_in_the_hash() -> None:
    manifest = engine_deployment(workload())
    before = sealed({**manifest, "spec": {**manifest["spec"], "minReadySeconds": 3}})
    assert differs(sealed(manifest), before) == f"metadata.annotations.{ANNOTATION_APPLIED}"


def test_a_secret_is_judged_without_its_content() -> None:
    wanted = sealed(secret(access()))
    assert differs(wanted, {"kind": "Secret", "metadata": wanted["metadata"]}) is None
    meta = {**wanted["metadata"], "annotations": {}}
    assert differs(wanted, {"kind": "Secret", "metadata": meta}) is not None


def test_a_job_is_never_written_twice() -> None:
    (job,) = manifests(inspection())
    (other,) = manifests(inspection(image="another"))
    assert differs(sealed(other), sealed(job)) is None
