"""Whether a GitOps controller manages an object: what is patched beside it, it puts back from git."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Label or annotation to who writes it."""
MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}
"""Field manager to who that is."""


def manager(obj: Mapping[str, Any]) -> str | None:
    """Who keeps the object as git has it; None: nobody that is known."""
    return next(_found(obj["metadata"]), None)


def _found(metadata: Mapping[str, Any]) -> Iterator[str]:
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    yield from (who for mark, who in MARKS.items() if mark in marks)
    writers = (entry.get("manager") for entry in metadata.get("managedFields") or ())
    yield from (MANAGERS[writer] for writer in writers if writer in MANAGERS)


def advice(who: str, obj: Mapping[str, Any], patch: Mapping[str, Any]) -> str:
    """What to commit so that the change stays."""
    kind, name = obj["kind"], obj["metadata"]["name"]
    change = yaml.safe_dump(dict(patch), sort_keys=False).rstrip()
    return (
        f"Warning: {who} manages {kind} {name} and will put back what git says. Commit this too, so that it stays:\n"
        + "\n".join(f"  {line}" for line in change.splitlines())
    )
