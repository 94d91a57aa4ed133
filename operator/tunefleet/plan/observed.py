"""What stands of an endpoint: its revisions with their pods, as one view for every later step."""

from dataclasses import dataclass
from functools import cached_property

from tunefleet.api.inference_endpoint import InferenceEndpoint, Revision, RevisionState
from tunefleet.api.names import LABEL_ENDPOINT
from tunefleet.engine.adapters_api import AdaptersReport, AdapterState

from .facts import Facts, Manifest
from .pods import Pod, revision_pods
from .revision import RevisionParameters, read_parameters


@dataclass(frozen=True)
class EnginePod:
    """A pod that is not on its way out, with its agent's latest report."""

    pod: Pod
    report: AdaptersReport | None

    @property
    def ready(self) -> bool:
        """The kubelet says ready, and the agent has not said otherwise since."""
        return self.pod.ready and (self.report is None or self.report.engine.ready)

    @cached_property
    def states(self) -> dict[str, AdapterState]:
        """By engine name, as the agent reports it; empty when it does not answer."""
        return {a.engine_name: a.state for a in self.report.adapters} if self.report else {}

    def holds(self, engine_name: str) -> bool:
        """Ready, and the engine answered a completion with this version."""
        return self.ready and self.states.get(engine_name) is AdapterState.LOADED


@dataclass(frozen=True)
class ObservedRevision:
    """One Deployment of an endpoint, or the place of one that is wanted and does not stand yet (or any more)."""

    name: str
    uid: str
    """Empty while it does not stand."""
    deployment: Manifest
    """Empty while it does not stand."""
    parameters: RevisionParameters | None
    """None for one of another version of the operator: it serves on, and is never changed."""
    state: RevisionState | None
    """As the status says; None when the status does not know it (a crash between two writes, or a lost status)."""
    since: str
    pods: tuple[EnginePod, ...]

    @property
    def replicas(self) -> int:
        """Pods that its Deployment asks for."""
        return int(self.deployment.get("spec", {}).get("replicas", 1))

    @property
    def ready_pods(self) -> tuple[EnginePod, ...]:
        """Pods that answer."""
        return tuple(p for p in self.pods if p.ready)

    @property
    def scheduled(self) -> bool:
        """Some pod found a node."""
        return any(p.pod.scheduled for p in self.pods)


def engine_pods(facts: Facts, namespace: str, revision: str) -> tuple[EnginePod, ...]:
    """Living pods of a revision with their reports, by name."""
    pods = revision_pods(facts, namespace, revision)
    return tuple(EnginePod(pod, facts.reports.get(pod.key)) for pod in pods if pod.alive)


def observed_revisions(facts: Facts, endpoint: InferenceEndpoint) -> tuple[ObservedRevision, ...]:
    """Deployments that this very endpoint controls and that are not being deleted, by name."""
    known = {r.name: r for r in endpoint.status.revisions}
    found = (
        _observed(facts, ref.namespace, manifest, known.get(ref.name))
        for ref, manifest in facts.children.items()
        if ref.kind == "Deployment" and _belongs(manifest, endpoint)
    )
    return tuple(sorted(found, key=lambda r: r.name))


def missing_revision(
    facts: Facts, endpoint: InferenceEndpoint, name: str, parameters: RevisionParameters
) -> ObservedRevision:
    """A wanted revision without a Deployment. It may have pods: somebody deleted the Deployment under them."""
    known = next((r for r in endpoint.status.revisions if r.name == name), None)
    return ObservedRevision(
        name=name,
        uid="",
        deployment={},
        parameters=parameters,
        state=known.state if known else None,
        since=known.since if known else "",
        pods=engine_pods(facts, endpoint.metadata.namespace, name),
    )


def controller_uid(manifest: Manifest) -> str | None:
    """uid of the object that controls this one."""
    owners = manifest["metadata"].get("ownerReferences") or ()
    return next((o["uid"] for o in owners if o.get("controller")), None)


def _belongs(manifest: Manifest, endpoint: InferenceEndpoint) -> bool:
    meta = manifest["metadata"]
    return (
        meta["namespace"] == endpoint.metadata.namespace
        and meta.get("labels", {}).get(LABEL_ENDPOINT) == endpoint.metadata.name
        and controller_uid(manifest) == endpoint.metadata.uid
        and not meta.get("deletionTimestamp")
    )


def _observed(facts: Facts, namespace: str, manifest: Manifest, known: Revision | None) -> ObservedRevision:
    meta = manifest["metadata"]
    return ObservedRevision(
        name=meta["name"],
        uid=meta["uid"],
        deployment=manifest,
        parameters=read_parameters(meta.get("annotations", {})),
        state=known.state if known else None,
        since=known.since if known else "",
        pods=engine_pods(facts, namespace, meta["name"]),
    )


def pods_by_state(
    facts: Facts, endpoint: InferenceEndpoint, base_version: int, *states: RevisionState
) -> tuple[EnginePod, ...]:
    """Living pods of the endpoint's revisions of this base version in these states, as its status has them."""
    names = [r.name for r in endpoint.status.revisions if r.base_model_version == base_version and r.state in states]
    return tuple(pod for name in names for pod in engine_pods(facts, endpoint.metadata.namespace, name))
