"""What the builders write comes back from a real API server unchanged: else every decision would write again."""

from typing import Any

import pytest
import yaml

from dev.shell import Shell
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


@pytest.mark.parametrize("name", [name for name, manifest in ALL.items() if manifest["kind"] in ("Deployment", "Job")])
def test_pods_are_admitted_where_pod_security_is_restricted(name: str, kubectl: Shell, namespace: str) -> None:
    kubectl.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    for account in ("default", "chat-engine"):
        kubectl.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(_service_account(account, namespace)))
    template = ALL[name]["spec"]["template"]
    meta = {**template["metadata"], "name": "pod", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    kubectl.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))


def _service_account(name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
