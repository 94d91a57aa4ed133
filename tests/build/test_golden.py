"""The builders write these very manifests; a change of one shows in review as a change of its golden file."""

from hashlib import sha256
from pathlib import Path

import pytest

from tests.build.golden_manifests import GOLDEN, gpu_workload, rendered, workload
from tunefleet.build.engine_deployment import engine_deployment
from tunefleet.plan.canonical import canonical_json
from tunefleet.plan.revision import POD_TEMPLATE

TEMPLATES = {1: "536d884e9dc988c583a860659abd4b5f3a19dbec0d43760926e7427b657c2e6c"}
"""By POD_TEMPLATE: a hash of the pods that the builder made under it. A pod that changes needs a new number, or every
engine of every fleet would restart in place."""


@pytest.mark.parametrize(
    ("path", "text"), list(rendered()), ids=lambda value: value.stem if isinstance(value, Path) else ""
)
def test_manifests_are_as_reviewed(path: Path, text: str) -> None:
    assert path.read_text() == text, "review the change, then: python -m tests.build.golden_manifests"


def test_no_golden_file_is_left_over() -> None:
    assert {path for path, _ in rendered()} == set(GOLDEN.iterdir())


def test_a_changed_pod_has_a_new_template_number() -> None:
    pods = [engine_deployment(w)["spec"]["template"] for w in (workload(), gpu_workload())]
    assert TEMPLATES[POD_TEMPLATE] == sha256(canonical_json(pods).encode()).hexdigest()
