"""What the builders write comes back from a real API server unchanged: else every decision would write again."""

from typing import Any

import pytest

from tests.build.golden_manifests import CHILDREN
from tunefleet.build.children import manifests
from tunefleet.build.drift import differs, sealed
from tunefleet.kube.client import Client
from tunefleet.kube.resources import RESOURCES

pytestmark = pytest.mark.apiserver

ALL = {f"{child}-{m['kind']}": m for child, made in CHILDREN.items() for m in manifests(made)}


@pytest.mark.parametrize("name", ALL)
async def test_the_api_server_gives_back_what_was_written(name: str, api: Client, namespace: str) -> None:
    wanted = sealed(_in(namespace, ALL[name]))
    resource = RESOURCES[wanted["kind"]]
    stored = await api.create(resource, namespace, wanted)
    assert differs(wanted, stored) is None
    assert differs({**wanted, "kind": "Any"}, {**stored, "kind": "Any"}) is None, "content too, where it is readable"


def _in(namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
