"""How an endpoint stands, for people, kubectl, Argo CD and autoscalers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint, InferenceEndpointStatus, Revision
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import ANNOTATION_ENGINE_NAME, LABEL_BASE_VERSION, LABEL_REVISION

from .child_failures import deployment_failure, first_failure
from .endpoint_history import Takeover, history
from .fallback_standing import Standing as FallbackStanding
from .finding import Finding
from .observed import ObservedRevision
from .orphans import listed
from .revision import RevisionParameters
from .rollout import Step
from .summary import Obstacle, conditions, failing, summarize, working
from .times import rfc3339
from .wanted_revision import WantedRevision, endpoint_plan

MAX_REVISIONS = 16
"""As the schema of status.revisions says; one that falls out is taken for Warm."""


@dataclass(frozen=True)
class EndpointView:
    """What the status is made of."""

    endpoint: InferenceEndpoint
    observed: tuple[ObservedRevision, ...]
    steps: tuple[Step, ...]
    """Where every revision goes in this decision."""
    wanted: WantedRevision | None
    obstacle: Obstacle | None
    """Why nothing is wanted."""
    adapters: tuple[LoRAAdapter, ...]
    pins: Mapping[str, tuple[str, ...]]
    """Adapters that keep a revision alive, by its name."""
    unread: tuple[str, ...] = ()
    """Adapters that move along with the base, whose active version is still being read."""
    fallback: FallbackStanding | None = None

    @property
    def servers(self) -> tuple[str, ...]:
        """Names of the revisions that answer from now on; while pods are replaced a few at a time, the wanted one is
        last."""
        wanted = self.wanted.name if self.wanted else None
        return tuple(sorted((s.name for s in self.steps if s.state == "Serving"), key=lambda name: name == wanted))

    @property
    def serving(self) -> str | None:
        """Name of the revision that answers; of several, of one that is being replaced."""
        return next(iter(self.servers), None)

    def revision(self, name: str | None) -> ObservedRevision | None:
        """What stands under this name."""
        return next((r for r in self.observed if r.name == name), None)

    def ready(self, name: str | None) -> int:
        """Ready pods of a revision."""
        revision = self.revision(name)
        return len(revision.ready_pods) if revision else 0

    @property
    def answering(self) -> int:
        """Ready pods that clients of the base are answered by."""
        return sum(map(self.ready, self.servers))


def endpoint_status(view: EndpointView, now: datetime) -> InferenceEndpointStatus:
    """The whole status."""
    endpoint = view.endpoint
    generation = endpoint.metadata.generation
    summary = summarize(_obstacle(view), _answered(view))
    return InferenceEndpointStatus(
        observed_generation=generation,
        conditions=conditions(
            endpoint.status.conditions, summary, generation=generation, now=now, fallback=view.fallback
        ),
        plan=endpoint_plan(view.wanted) if view.wanted else endpoint.status.plan,
        revisions=_revisions(view),
        history=history(endpoint.status.history, _takeover(view), endpoint.spec, rfc3339(now)),
        replicas=sum(len(r.pods) for r in view.observed if r.name in view.servers),
        ready_replicas=view.answering,
        selector=_selector(view.servers),
        adapters=len(view.adapters),
    )


def _selector(revisions: Sequence[str]) -> str:
    """Of the pods that answer, for the scale subresource."""
    match revisions:
        case ():
            return ""
        case (name,):
            return f"{LABEL_REVISION}={name}"
        case _:
            return f"{LABEL_REVISION} in ({','.join(revisions)})"


def _takeover(view: EndpointView) -> Takeover | None:
    serving = view.revision(view.serving)
    if serving is None:
        return None
    records = view.endpoint.status.history
    return Takeover(
        name=serving.name,
        parameters=serving.parameters,
        wanted=view.wanted is not None and view.wanted.name == serving.name,
        former=_parameters(view, records[-1].name) if records else None,
    )


def _parameters(view: EndpointView, name: str) -> RevisionParameters | None:
    revision = view.revision(name)
    return revision.parameters if revision else None


def _revisions(view: EndpointView) -> tuple[Revision, ...]:
    """Oldest state first, the wanted one last."""
    wanted = view.wanted.name if view.wanted else None
    kept = sorted((s for s in view.steps if s.state), key=lambda s: (s.name == wanted, s.since, s.name))
    return tuple(r for step in kept if (r := _revision(view, step)) is not None)[-MAX_REVISIONS:]


def _revision(view: EndpointView, step: Step) -> Revision | None:
    observed = view.revision(step.name)
    if observed is None or step.state is None:
        return None
    version, engine_name = _identity(observed)
    return Revision(
        name=step.name,
        base_model_version=version,
        engine_name=engine_name,
        state=step.state,
        replicas=len(observed.pods),
        ready_replicas=len(observed.ready_pods),
        since=step.since,
    )


def _identity(revision: ObservedRevision) -> tuple[int, str]:
    """Base version and engine name; of a Deployment that another version of the operator wrote, from its metadata."""
    if revision.parameters:
        return revision.parameters.fixed.base_version, revision.parameters.fixed.engine_name
    meta = revision.deployment["metadata"]
    return int(meta["labels"][LABEL_BASE_VERSION]), str(meta["annotations"][ANNOTATION_ENGINE_NAME])


def _answered(view: EndpointView) -> Finding | None:
    """What clients of the base are answered with now."""
    replicas = view.endpoint.spec.replicas
    if view.serving is None:
        return None
    if replicas == 0:
        return Finding(Reason.SCALED_TO_ZERO, "no replicas, as spec.replicas says")
    ready = view.answering
    if ready == 0:
        return None
    return Finding(Reason.SERVING, f"{ready} of {replicas} replicas ready{_engine(view)}{_kept(view)}")


def _engine(view: EndpointView) -> str:
    revision = view.revision(view.serving)
    return f", {_identity(revision)[1]}" if revision else ""


def _kept(view: EndpointView) -> str:
    """Say which pods cost money only for adapters that stayed behind."""
    kept = (
        f"; revision {name} stays for {', '.join(adapters[:3])}{' and others' if len(adapters) > 3 else ''}, "
        "which no serving revision holds"
        for name, adapters in sorted(view.pins.items())
        if name not in view.servers
    )
    return "".join(kept)


def _obstacle(view: EndpointView) -> Obstacle | None:
    if view.obstacle is not None or view.wanted is None:
        return view.obstacle
    replicas = view.endpoint.spec.replicas
    name = view.wanted.name
    ready = view.ready(name)
    if view.serving == name and (ready >= replicas):
        return None
    progress = f"revision {name}: {ready} of {replicas} replicas ready{_fetched(view, name)}{_unread(view)}"
    failure = _failure(view.revision(name))
    if failure is not None:
        return failing(Finding(failure.reason, f"{failure.message} ({progress})"))
    return working(Reason.PROGRESSING, progress)


def _fetched(view: EndpointView, name: str) -> str:
    """How far the slowest transfer of the base is."""
    revision = view.revision(name)
    reports = (pod.report for pod in revision.pods if pod.report is not None) if revision else ()
    percents = [report.engine.fetched for report in reports if report.engine.fetched is not None]
    return f", {min(percents)} % of the base fetched" if percents else ""


def _unread(view: EndpointView) -> str:
    if not view.unread:
        return ""
    return f", active versions of {listed(view.unread)} still to be read"


def _failure(revision: ObservedRevision | None) -> Finding | None:
    if revision is None:
        return None
    unready = (p.pod for p in revision.pods if not p.ready)
    return first_failure(unready) or deployment_failure(revision.deployment)
