"""The few parts of an observed pod that decisions read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunefleet.api.names import LABEL_REVISION

from .facts import Facts, Key, Manifest


@dataclass(frozen=True)
class Pod:
    """A view of one pod; `manifest` is the whole."""

    key: Key
    manifest: Manifest

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        labels: Mapping[str, str] = self.manifest["metadata"].get("labels", {})
        return labels

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status, as the kubelet writes it."""
        status: Mapping[str, Any] = self.manifest.get("status", {})
        return status

    @property
    def created(self) -> str:
        """RFC 3339."""
        return str(self.manifest["metadata"].get("creationTimestamp", ""))

    @property
    def terminating(self) -> bool:
        """It was asked to go: it counts for nothing any more, whatever its conditions still say."""
        return bool(self.manifest["metadata"].get("deletionTimestamp"))

    @property
    def finished(self) -> bool:
        """It ended and will not start again."""
        return self.status.get("phase") in ("Succeeded", "Failed")

    @property
    def alive(self) -> bool:
        """It runs, or is on its way to."""
        return not self.terminating and not self.finished

    @property
    def ready(self) -> bool:
        """Alive, and its readiness probes pass: a real completion succeeded."""
        return self.alive and self.condition("Ready").get("status") == "True"

    @property
    def scheduled(self) -> bool:
        """A node was found for it."""
        return self.condition("PodScheduled").get("status") == "True"

    def condition(self, type_: str) -> Mapping[str, Any]:
        """The condition of this type; empty when there is none."""
        conditions = self.status.get("conditions") or ()
        return next((c for c in conditions if c["type"] == type_), {})

    def container_statuses(self) -> Iterator[Mapping[str, Any]]:
        """Init containers first, in their order, then the others."""
        yield from self.status.get("initContainerStatuses") or ()
        yield from self.status.get("containerStatuses") or ()


def pods_by_label(facts: Facts, namespace: str, label: str, value: str) -> tuple[Pod, ...]:
    """Pods of the namespace with this label, by name."""
    keys = facts.pods_by_namespace.get(namespace, ())
    found = (Pod(key, facts.pods[key]) for key in keys)
    return tuple(pod for pod in found if pod.labels.get(label) == value)


def revision_pods(facts: Facts, namespace: str, revision: str) -> tuple[Pod, ...]:
    """All pods of a revision (the name of its Deployment), terminating ones too, by name."""
    return pods_by_label(facts, namespace, LABEL_REVISION, revision)
