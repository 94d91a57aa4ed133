"""Where kinds live."""

import pytest

from tunefleet.kube.resources import RESOURCES


@pytest.mark.parametrize(
    ("kind", "where", "path"),
    [
        ("Pod", (None,), "/api/v1/pods"),
        ("Pod", ("ns",), "/api/v1/namespaces/ns/pods"),
        ("Pod", ("ns", "a", "status"), "/api/v1/namespaces/ns/pods/a/status"),
        ("Deployment", ("ns", "a"), "/apis/apps/v1/namespaces/ns/deployments/a"),
        ("LoRAAdapter", ("ns", "a"), "/apis/tunefleet.io/v1alpha1/namespaces/ns/loraadapters/a"),
        ("Node", ("ignored", "a"), "/api/v1/nodes/a"),
        ("Role", ("ns", "system:x/y"), "/apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles/system%3Ax%2Fy"),
    ],
)
def test_paths(kind: str, where: tuple[str, ...], path: str) -> None:
    assert RESOURCES[kind].path(*where) == path
