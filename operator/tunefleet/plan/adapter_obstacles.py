"""What stands between an adapter and its active version: ordered checks, the first hit wins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tunefleet.api.canary import CanaryState
from tunefleet.api.conditions import ConditionType, Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter, LoRAAdapterVersion, LoRAAdapterVersionStatus
from tunefleet.engine.adapters_api import AdapterReport, AdapterState

from .canary_message import taken_back
from .facts import Facts
from .finding import Finding
from .holdings import sleeps, target_name
from .judgement import obstacle_of
from .name_conflict import name_conflict
from .observed import EnginePod
from .orphans import serving_base
from .selection import carrying_endpoints
from .serving_version import Serving, answering_pods
from .slot_waits import awaited_streams, without_slot
from .summary import Obstacle, failing, refused, working
from .target import base_target
from .versions import MENDABLE, entry_of

STALLING = MENDABLE | {Reason.DIGEST_MISMATCH, Reason.LOAD_FAILED, Reason.NO_EFFECT, Reason.WRONG_WEIGHTS}
"""What an agent reports and a retry within this engine's life cannot mend."""


@dataclass(frozen=True)
class AdapterView:
    """An adapter with its new entries, before its status is written."""

    facts: Facts
    adapter: LoRAAdapter
    """With the entries of this decision in its status."""
    serving: Serving
    now: datetime

    @property
    def active(self) -> LoRAAdapterVersion | None:
        """The version that shall answer, as listed."""
        return next((v for v in self.adapter.spec.versions if v.version == self.adapter.spec.active_version), None)

    @property
    def entry(self) -> LoRAAdapterVersionStatus | None:
        """What is known of it."""
        return entry_of(self.adapter.status.versions, self.adapter.spec.active_version)

    @property
    def endpoints(self) -> tuple[InferenceEndpoint, ...]:
        """Endpoints that carry the adapter."""
        return carrying_endpoints(self.facts, self.adapter)


Check = Callable[[AdapterView], Obstacle | None]


def first_obstacle(view: AdapterView) -> Obstacle | None:
    """None when the active version answers on every engine that should."""
    return next((found for check in CHECKS if (found := check(view)) is not None), None)


def conflict(view: AdapterView) -> Obstacle | None:
    """Another object has the name."""
    return name_conflict(view.facts, view.adapter)


def not_listed(view: AdapterView) -> Obstacle | None:
    """activeVersion names nothing; the schema refuses that at apply."""
    if view.active is not None:
        return None
    return refused(
        Reason.SPEC_INVALID, f"activeVersion {view.adapter.spec.active_version} is not listed in spec.versions"
    )


def unread_or_refused(view: AdapterView) -> Obstacle | None:
    """Its files: still being read, refused, or unreadable. What the base lacks stands in the entry, too."""
    if view.entry is None:
        return working(Reason.INSPECTING, f"version {view.adapter.spec.active_version} is being read")
    return obstacle_of(view.entry)


def base_gone(view: AdapterView) -> Obstacle | None:
    """The base went away, or was refused, after the version had been accepted."""
    if view.active is None:
        return None
    adapter = view.adapter
    found = base_target(
        view.facts, adapter.metadata.namespace, adapter.spec.base_model_ref.name, view.active.base_model_version
    )
    return found if isinstance(found, Obstacle) else None


def no_endpoint(view: AdapterView) -> Obstacle | None:
    """Nobody carries it: not broken, but not served either."""
    if view.endpoints:
        return None
    base = view.adapter.spec.base_model_ref.name
    return working(
        Reason.NO_ENDPOINT, f"no InferenceEndpoint of BaseModel {base} in this namespace selects this adapter"
    )


def base_version_not_served(view: AdapterView) -> Obstacle | None:
    """Endpoints carry it, but all run another version of its base."""
    if view.active is None:
        return None
    wanted = view.active.base_model_version
    if any(_serves(endpoint, wanted) for endpoint in view.endpoints):
        return None
    others = ", ".join(_served(endpoint) for endpoint in view.endpoints)
    return refused(
        Reason.BASE_VERSION_NOT_SERVED,
        f"version {view.active.version} is pinned to base version {wanted}, and {others} is served; "
        "set spec.model.version of an endpoint, or activate a version that is pinned to what is served",
    )


def rank_too_high(view: AdapterView) -> Obstacle | None:
    """Every endpoint that carries it has a lower maxRank."""
    rank = view.entry.rank if view.entry else None
    limits = {e.metadata.name: e.spec.adapters.max_rank for e in view.endpoints}
    if rank is None or any(limit == "Auto" or limit >= rank for limit in limits.values()):
        return None
    said = ", ".join(f"{name} takes {limit}" for name, limit in sorted(limits.items()))
    return refused(
        Reason.RANK_TOO_HIGH,
        f"rank {rank} is above spec.adapters.maxRank ({said}); raise it or set it to Auto",
    )


def no_free_slot(view: AdapterView) -> Obstacle | None:
    """Every endpoint that carries it has a fixed number of slots, and they are taken by what has precedence."""
    name = target_name(view.adapter)
    if name is None or sleeps(view.adapter) or _answers(view):
        return None
    fixed = [e for e in view.endpoints if e.spec.adapters.slots != "Auto"]
    found = (without_slot(view.facts, view.adapter, endpoint, name, view.now) for endpoint in fixed)
    leaving = [going for going in found if going is not None]
    if len(leaving) < len(view.endpoints):
        return None
    if soon := sorted({engine_name for going in leaving for engine_name in going}):
        return working(Reason.LOADING, f"{_active_name(view)} waits for a slot until {_listed(soon)} may go")
    said = ", ".join(f"{e.metadata.name} has {e.spec.adapters.slots}" for e in fixed)
    return refused(
        Reason.NO_FREE_SLOT,
        f"every adapter slot is taken ({said}); raise spec.adapters.slots, set it to Auto, add replicas, or lower "
        "keepWarm",
    )


def streams_in_slot(view: AdapterView) -> Obstacle | None:
    """A version that left has its slot for as long as requests use it."""
    name = target_name(view.adapter)
    pods = answering_pods(view.facts, view.adapter, view.adapter.spec.active_version, name, view.now)
    waits = awaited_streams(pods, name) if name is not None else None
    if waits is None:
        return None
    pod, going = waits
    return working(
        Reason.LOADING, f"{_active_name(view)} waits for a slot on pod {pod} until requests of {_listed(going)} end"
    )


def load_failed(view: AdapterView) -> Obstacle | None:
    """An engine that should answer could not take it."""
    name = target_name(view.adapter)
    pods = answering_pods(view.facts, view.adapter, view.adapter.spec.active_version, name, view.now)
    for pod in pods:
        for report in pod.report.adapters if pod.report else ():
            if report.engine_name == name and report.state is AdapterState.FAILED:
                return _failed(pod.pod.key.name, report)
    return None


def taken_back_finding(served: Serving) -> Finding | None:
    """Of an active version that was worse than it may be."""
    canary = served.canary
    if canary is None or canary.state != "RolledBack":
        return None
    return Finding(Reason.CANARY_WORSE, taken_back(canary, served.version))


def canary_worse(view: AdapterView) -> Obstacle | None:
    """The active version was taken back."""
    found = taken_back_finding(view.serving)
    return refused(found.reason, found.message) if found else None


def canary_runs(view: AdapterView) -> Obstacle | None:
    """The active version gets its share in steps."""
    canary = view.serving.canary
    return working(_OF_CANARY[canary.state], canary.message) if canary and canary.state in _OF_CANARY else None


def not_loaded(view: AdapterView) -> Obstacle | None:
    """On its way onto the engines, or the engines are on theirs."""
    active = view.adapter.spec.active_version
    serving = view.serving
    if sleeps(view.adapter) or (serving.version == active and serving.loaded.ready >= max(1, serving.loaded.desired)):
        return None
    return working(Reason.LOADING, f"version {active} {_progress(view)}")


CHECKS: tuple[Check, ...] = (
    conflict,
    not_listed,
    unread_or_refused,
    base_gone,
    no_endpoint,
    base_version_not_served,
    rank_too_high,
    no_free_slot,
    streams_in_slot,
    canary_worse,
    load_failed,
    canary_runs,
    not_loaded,
)

_OF_CANARY: dict[CanaryState, Reason] = {
    "Progressing": Reason.CANARY,
    "Paused": Reason.PAUSED,
    "Waiting": Reason.LOADING,
}


def _serves(endpoint: InferenceEndpoint, base_version: int) -> bool:
    running = (r.base_model_version for r in endpoint.status.revisions if r.state != "Draining")
    return (endpoint.spec.model.version == base_version and not _stays(endpoint)) or base_version in running


def _stays(endpoint: InferenceEndpoint) -> bool:
    """It does not move to the version that its spec names."""
    return any(c.reason is Reason.WOULD_ORPHAN for c in endpoint.status.conditions)


def _served(endpoint: InferenceEndpoint) -> str:
    name = endpoint.metadata.name
    return (
        f"{name} version {serving_base(endpoint)} (WouldOrphan)"
        if _stays(endpoint)
        else (f"{name} version {endpoint.spec.model.version}")
    )


def _answers(view: AdapterView) -> bool:
    return view.serving.answers and view.serving.version == view.adapter.spec.active_version


def _active_name(view: AdapterView) -> str:
    return f"version {view.adapter.spec.active_version}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def _failed(pod: str, report: AdapterReport) -> Obstacle:
    reason = report.reason or Reason.LOAD_FAILED
    message = f"pod {pod}: {report.message or 'the engine did not take it'}"
    if reason in STALLING:
        return refused(reason, message)
    return failing(Finding(reason, message))


def _progress(view: AdapterView) -> str:
    name = target_name(view.adapter)
    pods = answering_pods(view.facts, view.adapter, view.adapter.spec.active_version, name, view.now)
    if not pods or name is None:
        return f"waits for engine pods of {', '.join(_standing(endpoint) for endpoint in view.endpoints)}"
    return f"is loaded on {sum(p.holds(name) for p in pods)} of {len(pods)} engine pods{_fetched(pods, name)}"


def _fetched(pods: Sequence[EnginePod], name: str) -> str:
    """How far the slowest transfer is."""
    reports = (adapter for pod in pods if pod.report for adapter in pod.report.adapters if adapter.engine_name == name)
    percents = [r.progress for r in reports if r.state is AdapterState.FETCHING and r.progress is not None]
    return f", {min(percents)} % fetched" if percents else ""


def _standing(endpoint: InferenceEndpoint) -> str:
    """An endpoint's name, and what keeps it from coming up."""
    name, conditions = endpoint.metadata.name, endpoint.status.conditions
    broken = next((c for c in conditions if c.type is ConditionType.READY and c.status == "False"), None)
    return f"{name} ({broken.reason})" if broken else name
