"""The API server and the models agree on what is a valid object.

Were the API server to store what a model cannot read, one user's object would stop the operator.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from dev.shell import Shell
from tests.api.strategies import values
from tunefleet.api.engine_flags import owned_flag
from tunefleet.api.kinds import KINDS, Kind
from tunefleet.api.names import API_VERSION, API_VERSION_NAME, GROUP

from .accepted import ACCEPTED
from .manifests import Json, adapter, base_model, endpoint
from .user import User

pytestmark = pytest.mark.apiserver

BY_NAME = {kind.name: kind for kind in KINDS}
REFUSED = {400, 422}
JUNK = [
    None, True, -1, 0, 1, 2, 64, 65, 512, 513, 2**31, 2**63 - 1, 1.0, 1.5, "", "Auto", "auto", "1", "a", "A" * 63,
    "a" * 64, "x y", "ä", "a\n", "s3://a", "s3://a\n", "hf://a/b@c", "pvc://a", "--seed=1", [], {}, [1], ["a", "a"],
    {"a": "b"}, {"name": "a"}, [{"version": 1}],
]  # fmt: skip
property_test = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Server:
    """Dry runs of creations."""

    def __init__(self, kubeconfig: Path) -> None:
        self.api: Any = client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))

    def stored(self, manifest: Json) -> Json | None:
        """What would be stored; None when it is refused."""
        plural = BY_NAME[manifest["kind"]].plural
        try:
            answer: Json = self.api.create_namespaced_custom_object(
                GROUP, API_VERSION_NAME, "default", plural, manifest, dry_run="All"
            )
        except ApiException as error:
            if error.status not in REFUSED:
                raise
            return None
        return answer

    def reported(self, kind: Kind, namespace: str, status: Json) -> Json:
        """The status that would be stored. Raises ApiException when it is refused."""
        answer: Json = self.api.patch_namespaced_custom_object_status(
            GROUP, API_VERSION_NAME, namespace, kind.plural, "sample", {"status": status}, dry_run="All"
        )
        stored: Json = answer["status"]
        return stored


@pytest.fixture(scope="module")
def server(kubeconfig: Path) -> Server:
    """The API server of the tests."""
    return Server(kubeconfig)


@pytest.fixture(scope="module")
def sample(kubectl: Shell) -> Iterator[str]:
    """A namespace with one object of each kind, all of the name that manifests have."""
    user = User(kubectl, "agreement")
    kubectl.kubectl("create", "namespace", user.namespace)
    for manifest in (base_model(), adapter(), endpoint()):
        user.create(manifest)
    yield user.namespace
    kubectl.kubectl("delete", "namespace", user.namespace, "--wait=false")


@property_test
@given(data=st.data())
def test_whatever_is_stored_can_be_read(server: Server, data: st.DataObject) -> None:
    """A valid manifest, with one value replaced or left out."""
    manifest = copy.deepcopy(data.draw(st.sampled_from(list(ACCEPTED.values()))))
    where, key = data.draw(st.sampled_from(list(places(manifest["spec"]))))
    if data.draw(st.booleans()):
        where[key] = data.draw(st.sampled_from(JUNK))
    else:
        del where[key]
    stored = server.stored(manifest)
    if stored is not None:
        BY_NAME[manifest["kind"]].model.read(stored)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
@settings(property_test, max_examples=40)
@given(data=st.data())
def test_whatever_a_model_describes_is_stored(server: Server, kind: Kind, data: st.DataObject) -> None:
    """And read back with nothing lost, once the rules across fields are kept."""
    spec = keeping_the_rules(data.draw(values(kind.spec)))
    manifest = {"apiVersion": API_VERSION, "kind": kind.name, "metadata": {"name": "sample"}, "spec": spec}
    stored = server.stored(manifest)
    assert stored is not None
    assert kind.spec.read(stored["spec"]) == kind.spec.read(spec)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
@settings(property_test, max_examples=40)
@given(data=st.data())
def test_whatever_the_operator_reports_is_stored(server: Server, sample: str, kind: Kind, data: st.DataObject) -> None:
    """A status that is refused is a status that nobody sees."""
    status = kind.status.read(with_keys_apart(data.draw(values(kind.status))))
    assert kind.status.read(server.reported(kind, sample, status.dump())) == status


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Every container and key within a value."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, nested in items:
        yield value, key
        yield from places(nested)


def keeping_the_rules(spec: Json) -> Json:
    """The spec with what rules across fields ask for, which a model does not know."""
    for number, version in enumerate(spec.get("versions", ()), start=1):
        version["version"] = number
        if version["source"]["uri"].startswith("pvc://"):
            version["source"].pop("secretRef", None)
    if "activeVersion" in spec:
        spec["activeVersion"] = len(spec["versions"])
    for structure, field in (("accelerator", "products"), ("placement", "regions")):
        if field in spec.get(structure, {}):
            spec[structure][field] = sorted(set(spec[structure][field]))
    if spec.get("accelerator", {}).get("resourceName") == "cpu":
        spec["accelerator"].pop("products", None)
        spec.pop("parallelism", None)
    if spec.get("parallelism", {}).get("tensor", "Auto") != "Auto":
        spec["parallelism"].pop("pipeline", None)
    _keep_rollout(spec.get("rollout", {}))
    _keep_fallback(spec)
    if "extraArgs" in spec.get("engine", {}):
        spec["engine"]["extraArgs"] = [a for a in spec["engine"]["extraArgs"] if owned_flag(a) is None]
    return spec


def _keep_rollout(rollout: Json) -> None:
    if rollout.get("maxSurge") == 0:
        rollout["maxUnavailable"] = 1
    if "steps" in rollout:
        rollout["steps"].sort(key=lambda step: step["weight"])
        for step in rollout["steps"]:
            step.setdefault("durationSeconds", 60)


def _keep_fallback(spec: Json) -> None:
    fallback = spec.get("fallback") or {}
    if "external" in fallback:
        fallback.pop("endpointRef", None)
        if regions := spec.get("placement", {}).get("regions"):
            fallback["external"]["region"] = regions[0]
    elif "endpointRef" not in fallback:
        spec.pop("fallback", None)


def with_keys_apart(status: Json) -> Json:
    """The status without two entries of one key in any list that has one."""
    keys = {"conditions": "type", "versions": "version", "revisions": "name", "fingerprints": "engine"}
    for structure in (status, *status.get("versions", ())):
        for field in structure.keys() & keys.keys():
            structure[field] = list({entry[keys[field]]: entry for entry in structure[field]}.values())
    return status
