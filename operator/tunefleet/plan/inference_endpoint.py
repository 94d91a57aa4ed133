"""InferenceEndpoint: find the wanted revision, roll it out, tell every pod's agent what to hold, say how it stands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint, InferenceEndpointStatus
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.adapters_api import DesiredAdapter

from .asked import Asked, asked
from .assignments import assigned, good_pods, orders
from .credentials import endpoint_credentials
from .decision import Child, Decision, EndpointAccess, FallbackAccess, Owner, RevisionWorkload
from .endpoint_status import EndpointView, endpoint_status
from .facts import Facts, Key, ObjectRef
from .fallback_standing import fallback_access_name, fallback_secret, fallback_standing
from .holdings import Holding, holdings, leaving_seconds
from .observed import ObservedRevision, controller_uid, missing_revision, observed_revisions
from .orphans import Orphans, orphans, serving_base, would_orphan
from .outcome import condition_events, status_patches
from .pinning import pinning_adapters
from .plan import Deletion, Event
from .rollout import Candidate, Step, advance, expiry
from .selection import selected_adapters
from .sharing import Sharing, sharing
from .summary import Obstacle
from .surge import Shares
from .target import BaseTarget, endpoint_target
from .wanted_revision import WantedRevision, wanted_revision

KIND = "InferenceEndpoint"
SECRET_RETRY_SECONDS = 15.0
"""Between two looks for a fallback's Secret that is missing: Secrets are not watched."""


@dataclass(frozen=True)
class _Scene:
    """One endpoint with everything that bears on it."""

    endpoint: InferenceEndpoint
    owner: Owner
    adapters: tuple[LoRAAdapter, ...]
    holdings: tuple[Holding, ...]
    asked: Mapping[Key, Asked]
    observed: tuple[ObservedRevision, ...]
    wanted: WantedRevision | None
    obstacle: Obstacle | None
    """Why nothing is wanted."""
    orphans: Orphans
    """Adapters that what is wanted would leave behind."""


def decide(facts: Facts, key: Key, now: datetime) -> Decision:
    """What to do about one InferenceEndpoint."""
    endpoint = facts.endpoints.get(key)
    if endpoint is None or endpoint.metadata.deletion_timestamp:
        return Decision()
    scene = _scene(facts, endpoint, now)
    shared = _shared(scene)
    steps = _advance(scene, shared, now)
    status = endpoint_status(_view(facts, scene, steps), now)
    ref = scene.owner.ref
    return Decision(
        children=_children(facts, scene, steps, shared),
        delete=(*_deletions(scene, steps), *_stale_access(facts, scene)),
        assignments=dict(_orders(scene, steps)),
        statuses=status_patches(ref, endpoint.status, status),
        events=(
            *condition_events(ref, endpoint.metadata, endpoint.status, status),
            *_takeover_events(ref, endpoint, status),
        ),
        requeue_after=_requeue(facts, scene, steps, now),
        why=tuple(_why(scene, steps)),
    )


def _scene(facts: Facts, endpoint: InferenceEndpoint, now: datetime) -> _Scene:
    adapters = selected_adapters(facts, endpoint)
    held = tuple(h for adapter in adapters for h in holdings(adapter, now))
    observed = observed_revisions(facts, endpoint)
    target, left = _target(facts, endpoint)
    obstacle = target if isinstance(target, Obstacle) else None
    wanted = None
    if not isinstance(target, Obstacle):
        wanted = wanted_revision(facts, endpoint, target, observed, adapters, held)
        if wanted.name not in {revision.name for revision in observed}:
            observed = (*observed, missing_revision(facts, endpoint, wanted.name, wanted.parameters))
    meta = endpoint.metadata
    owner = Owner(ObjectRef(KIND, meta.namespace, meta.name), meta.uid)
    return _Scene(endpoint, owner, adapters, held, asked(facts.gateways.values()), observed, wanted, obstacle, left)


def _target(facts: Facts, endpoint: InferenceEndpoint) -> tuple[BaseTarget | Obstacle, Orphans]:
    """What the spec asks for, unless that would leave adapters behind."""
    target = endpoint_target(facts, endpoint)
    left = Orphans() if isinstance(target, Obstacle) else orphans(facts, endpoint, target.version)
    if isinstance(target, Obstacle) or not left.stranded:
        return target, left
    return would_orphan(target.version, serving_base(endpoint), left.stranded), left


def _view(facts: Facts, scene: _Scene, steps: tuple[Step, ...]) -> EndpointView:
    return EndpointView(
        scene.endpoint,
        scene.observed,
        steps,
        scene.wanted,
        scene.obstacle,
        scene.adapters,
        _pins(scene, steps),
        scene.orphans.unread,
        fallback_standing(scene.endpoint, facts.endpoints, facts.secrets),
    )


def _shared(scene: _Scene) -> Shares | None:
    view = Sharing(scene.endpoint, scene.observed, _wanted_name(scene), scene.holdings, scene.asked, scene.adapters)
    return sharing(view)


def _advance(scene: _Scene, shared: Shares | None, now: datetime) -> tuple[Step, ...]:
    candidates = [_candidate(scene, revision, shared) for revision in scene.observed]
    keep_warm = scene.endpoint.spec.rollout.keep_warm
    return advance(candidates, _wanted_name(scene), keep_warm, now, shared.beside if shared else ())


def _wanted_name(scene: _Scene) -> str | None:
    """What would leave adapters behind is not begun, nor gone on with: what serves is what is wanted meanwhile."""
    if scene.orphans.stranded:
        return next((r.name for r in scene.observed if r.state == "Serving"), None)
    return scene.wanted.name if scene.wanted else None


def _candidate(scene: _Scene, revision: ObservedRevision, shared: Shares | None) -> Candidate:
    joins = shared is not None and shared.joins
    return Candidate(
        name=revision.name,
        state=revision.state,
        since=revision.since,
        can_serve=not _waits(scene, revision) and _can_serve(scene, revision, joins),
        answers=bool(revision.ready_pods),
        pinned=bool(pinning_adapters(revision, [r for r in scene.observed if r.state == "Serving"], scene.adapters)),
    )


def _waits(scene: _Scene, revision: ObservedRevision) -> bool:
    """Adapters that move along with the base are still being read, and somebody answers meanwhile."""
    others = (r for r in scene.observed if r.name != revision.name and r.state == "Serving")
    return bool(scene.orphans.unread) and any(r.ready_pods for r in others)


def _can_serve(scene: _Scene, revision: ObservedRevision, joins: bool) -> bool:
    """Enough pods answer, and have settled what they shall hold."""
    if scene.endpoint.spec.replicas == 0:
        return True
    if revision.parameters is None:
        return False
    good = good_pods(revision, scene.holdings, scene.asked)
    return good >= (1 if joins else _enough(scene, revision))


def _enough(scene: _Scene, revision: ObservedRevision) -> int:
    """Replicas that must answer before traffic moves: all of a new one, all that a kept one has, any if nothing else
    answers."""
    replicas = scene.endpoint.spec.replicas
    others = (r for r in scene.observed if r.name != revision.name and r.state == "Serving")
    if not any(r.ready_pods for r in others):
        return 1
    return max(1, min(replicas, revision.replicas)) if revision.state in ("Warm", "Draining") else replicas


def _children(facts: Facts, scene: _Scene, steps: Sequence[Step], shared: Shares | None) -> tuple[Child, ...]:
    counts = shared.replicas if shared else {}
    workloads = tuple(_workloads(facts.settings.pod_template, scene, steps, counts))
    fallback = tuple(_fallback_access(facts, scene))
    if not workloads and not scene.observed:
        return fallback
    return (_access(facts, scene), *fallback, *workloads)


def _fallback_access(facts: Facts, scene: _Scene) -> Iterable[FallbackAccess]:
    secret = fallback_secret(scene.endpoint)
    if secret is not None:
        yield FallbackAccess(scene.owner, secret.name, facts.settings.namespace)


def _stale_access(facts: Facts, scene: _Scene) -> Iterable[Deletion]:
    """What gateways were granted for a fallback that is no more."""
    if fallback_secret(scene.endpoint) is not None:
        return
    for kind in ("RoleBinding", "Role"):
        ref = ObjectRef(kind, scene.owner.ref.namespace, fallback_access_name(scene.owner.ref.name))
        observed = facts.children.get(ref)
        if observed is not None and controller_uid(observed) == scene.owner.uid:
            yield Deletion(ref, observed["metadata"]["uid"])


def _access(facts: Facts, scene: _Scene) -> EndpointAccess:
    settings = facts.settings
    refs = (v.source.secret_ref for adapter in scene.adapters for v in adapter.spec.versions)
    return EndpointAccess(
        owner=scene.owner,
        secret_names=tuple(sorted({ref.name for ref in refs if ref is not None})),
        credentials=endpoint_credentials(
            settings.operator_key, settings.gateway_key, scene.owner.ref.namespace, scene.owner.ref.name
        ),
        operator_namespace=settings.namespace,
    )


def _workloads(
    template: str, scene: _Scene, steps: Sequence[Step], shared: Mapping[str, int]
) -> Iterable[RevisionWorkload]:
    """Of those in the form that this operator makes; others serve on as they are."""
    observed = {r.name: r for r in scene.observed}
    for step in steps:
        revision = observed[step.name]
        if step.state and revision.parameters and revision.parameters.fixed.pod_template == template:
            count = shared.get(step.name, _replicas(scene, revision, step))
            yield RevisionWorkload(scene.owner, step.name, revision.parameters, count)


def _replicas(scene: _Scene, revision: ObservedRevision, step: Step) -> int:
    """A revision out of service keeps its pods, but not more than the endpoint has now."""
    wanted = scene.endpoint.spec.replicas
    if step.state in ("Serving", "Progressing"):
        return wanted
    return min(wanted, revision.replicas) if step.state == "Warm" else revision.replicas


def _deletions(scene: _Scene, steps: Sequence[Step]) -> tuple[Deletion, ...]:
    gone = {step.name for step in steps if step.state is None}
    namespace = scene.owner.ref.namespace
    return tuple(Deletion(ObjectRef("Deployment", namespace, r.name), r.uid) for r in scene.observed if r.name in gone)


def _orders(scene: _Scene, steps: Sequence[Step]) -> Iterable[tuple[Key, tuple[DesiredAdapter, ...]]]:
    """Pods of revisions that may answer; those of a draining one keep what they have."""
    live = {step.name for step in steps if step.state not in (None, "Draining")}
    for revision in scene.observed:
        if revision.name in live:
            yield from orders(revision, assigned(revision, scene.holdings, scene.asked))


def _pins(scene: _Scene, steps: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """By revision, the adapters that keep it alive once these steps are taken."""
    names = {step.name for step in steps if step.state == "Serving"}
    serving = [r for r in scene.observed if r.name in names]
    pins = {r.name: pinning_adapters(r, serving, scene.adapters) for r in scene.observed}
    return {name: adapters for name, adapters in pins.items() if adapters}


def _requeue(facts: Facts, scene: _Scene, steps: Sequence[Step], now: datetime) -> float | None:
    times = [expiry(steps, scene.endpoint.spec.rollout.keep_warm, now)]
    secret = fallback_secret(scene.endpoint)
    if secret is not None and not facts.secrets.get(secret, True):
        times.append(SECRET_RETRY_SECONDS)
    times.extend(leaving_seconds(adapter, now) for adapter in scene.adapters)
    return min((t for t in times if t is not None), default=None)


def _takeover_events(ref: ObjectRef, endpoint: InferenceEndpoint, latest: InferenceEndpointStatus) -> tuple[Event, ...]:
    """Told when another revision answers, whichever condition changes with it."""
    if not latest.history or latest.history[-1].name in {r.name for r in endpoint.status.history[-1:]}:
        return ()
    last = latest.history[-1]
    changes = f": {'; '.join(last.changes)}" if last.changes else ""
    message = f"{last.cause}: revision {last.name} answers{changes}"[:MAX_MESSAGE]
    return (Event(ref, endpoint.metadata.uid, "Normal", Reason.SERVING, message),)


def _why(scene: _Scene, steps: Sequence[Step]) -> Iterable[str]:
    former = {r.name: r.state for r in scene.observed}
    for step in steps:
        if former.get(step.name) != step.state:
            yield f"revision {step.name}: {former.get(step.name) or 'new'} -> {step.state or 'deleted'}"
