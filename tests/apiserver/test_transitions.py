"""Which changes of an object are allowed, and what a user reads when one is not."""

import json

import pytest

from .manifests import DIGEST, adapter, base_model, endpoint, version
from .user import User, complaints, refusal

pytestmark = pytest.mark.apiserver

NEVER_CHANGES = "a version never changes; add a new one"
NOT_LISTED = "is not listed in versions: list it, or name a listed one (none is removed while active)"
ANOTHER = "never changes; create another {} for another base model"


def test_promotion_and_rollback_are_one_patch(user: User) -> None:
    user.create(adapter(versions=[version(1), version(2)]))
    user.patch("lora/sample", {"activeVersion": 2})
    user.patch("lora/sample", {"activeVersion": 1})
    assert user.get("lora/sample", ".spec.activeVersion") == "1"


def test_a_version_is_added_and_promoted_by_one_patch(user: User) -> None:
    user.create(adapter())
    user.patch("lora/sample", {"activeVersion": 2, "versions": [version(1), version(2)]})
    assert user.get("lora/sample", ".spec.activeVersion") == "2"


def test_a_version_is_appended_without_repeating_the_others(user: User) -> None:
    """As in examples/02-promote-and-roll-back."""
    user.create(adapter())
    operations = [{"op": "add", "path": "/spec/versions/-", "value": version(2)}]
    user.kubectl("patch", "lora/sample", "--type=json", f"--patch={json.dumps(operations)}")
    assert user.get("lora/sample", ".spec.versions[*].version") == "1 2"


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"uri": "s3://models/other"}},
        {"source": {"uri": "s3://models/german/v1", "secretRef": {"name": "new"}}},
        {"baseModelVersion": 2},
        {"digest": DIGEST},
        {"lineage": {"dataset": "german-v1"}},
    ],
    ids=["source", "secret", "base", "digest", "lineage"],
)
def test_a_version_of_an_adapter_never_changes(user: User, change: dict[str, object]) -> None:
    user.create(adapter(versions=[version(1), version(2)], activeVersion=2))
    said = refusal(lambda: user.patch("lora/sample", {"versions": [version(1, **change), version(2)]}))
    assert complaints(said) == (f"spec.versions[0]: Invalid value: {NEVER_CHANGES}",)


def test_a_version_of_a_base_never_changes(user: User) -> None:
    user.create(base_model())
    said = refusal(lambda: user.patch("bmodel/sample", {"versions": [{"version": 1, "source": {"uri": "s3://b/c"}}]}))
    assert complaints(said) == (f"spec.versions[0]: Invalid value: {NEVER_CHANGES}",)


def test_a_version_may_change_its_place_in_the_list(user: User) -> None:
    user.create(adapter(versions=[version(1), version(2)]))
    user.patch("lora/sample", {"versions": [version(2), version(1)]})
    assert user.get("lora/sample", ".spec.versions[*].version") == "2 1"


def test_old_versions_may_go(user: User) -> None:
    user.create(adapter(versions=[version(1), version(2)], activeVersion=2))
    user.patch("lora/sample", {"versions": [version(2)]})
    assert user.get("lora/sample", ".spec.versions[*].version") == "2"


def test_the_active_version_stays(user: User) -> None:
    user.create(adapter(versions=[version(1), version(2)], activeVersion=2))
    said = refusal(lambda: user.patch("lora/sample", {"versions": [version(1)]}))
    assert complaints(said) == (f"spec.activeVersion: Invalid value: activeVersion 2 {NOT_LISTED}",)


def test_the_version_that_still_answers_stays(user: User) -> None:
    """The active version may not be loaded yet; its predecessor answers until then."""
    user.create(adapter(versions=[version(1), version(2)]))
    user.report("lora/sample", {"servingVersion": 1})
    said = refusal(lambda: user.patch("lora/sample", {"activeVersion": 2, "versions": [version(2)]}))
    assert complaints(said) == (
        "spec.versions: Invalid value: version 1 still answers: remove it when status.servingVersion has moved on",
    )
    user.patch("lora/sample", {"activeVersion": 2})
    user.report("lora/sample", {"servingVersion": 2})
    user.patch("lora/sample", {"versions": [version(2)]})


def test_no_rule_stands_between_the_operator_and_a_status(user: User) -> None:
    """A status may speak of a version that the spec no longer has."""
    user.create(adapter(versions=[version(2)], activeVersion=2))
    user.report("lora/sample", {"servingVersion": 1, "observedGeneration": 1})
    user.patch("lora/sample", {"keepWarm": 2})
    assert user.get("lora/sample", ".status.servingVersion") == "1"


def test_an_adapter_keeps_its_base(user: User) -> None:
    user.create(adapter())
    said = refusal(lambda: user.patch("lora/sample", {"baseModelRef": {"name": "other"}}))
    assert complaints(said) == (f"spec.baseModelRef: Invalid value: baseModelRef {ANOTHER.format('LoRAAdapter')}",)


def test_an_endpoint_keeps_its_base_and_changes_its_version(user: User) -> None:
    user.create(endpoint())
    user.patch("iep/sample", {"model": {"version": 2}})
    user.patch("iep/sample", {"model": {"version": 1}})
    said = refusal(lambda: user.patch("iep/sample", {"model": {"name": "other"}}))
    assert complaints(said) == (
        f'spec.model.name: Invalid value: "other": model.name {ANOTHER.format("InferenceEndpoint")}',
    )


def test_a_served_name_may_change(user: User) -> None:
    user.create(adapter())
    user.patch("lora/sample", {"servedModelName": "support-de"})
    user.patch("lora/sample", {"servedModelName": None})
    assert user.get("lora/sample", ".spec.servedModelName") == ""
