"""The examples, as a person or a GitOps tool applies them."""

from pathlib import Path

import pytest
import yaml

from tunefleet.api.names import API_VERSION

from .user import User

pytestmark = pytest.mark.apiserver

EXAMPLES = Path(__file__).parents[2] / "examples"


def holds_only_our_kinds(path: Path) -> bool:
    """Patches, Secrets and values of charts are other tests' matter."""
    documents = list(yaml.safe_load_all(path.read_text()))
    return all(isinstance(d, dict) and d.get("apiVersion") == API_VERSION for d in documents)


MANIFESTS = {
    str(path.relative_to(EXAMPLES)): path for path in sorted(EXAMPLES.rglob("*.yaml")) if holds_only_our_kinds(path)
}


def test_there_are_examples() -> None:
    assert "01-first-endpoint/adapters.yaml" in MANIFESTS


@pytest.mark.parametrize("path", MANIFESTS.values(), ids=MANIFESTS)
@pytest.mark.parametrize("side", ["--server-side=false", "--server-side=true"], ids=["client", "server"])
def test_applied_example_does_not_drift(user: User, path: Path, side: str) -> None:
    """Applied again, nothing would change: defaults that the API server fills in are no difference."""
    user.kubectl("apply", side, "-f", str(path))
    assert user.kubectl("diff", side, "-f", str(path)) == ""
