"""Who keeps an object as git has it."""

from typing import Any

import pytest

from tunefleet.cli.gitops import manager


@pytest.mark.parametrize(
    ("metadata", "who"),
    [
        ({}, None),
        ({"labels": {"app.kubernetes.io/instance": "a-helm-release"}}, None),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "app:tunefleet.io/LoRAAdapter:ml/german"}}, "Argo CD"),
        ({"labels": {"argocd.argoproj.io/instance": "app"}}, "Argo CD"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "app"}}, "Flux"),
        ({"managedFields": [{"manager": "kubectl"}, {"manager": "kustomize-controller"}]}, "Flux"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        ({"managedFields": [{"manager": "kubectl"}]}, None),
    ],
)
def test_who_manages_it(metadata: dict[str, Any], who: str | None) -> None:
    assert manager({"metadata": metadata}) == who
