"""An endpoint's revisions as `surge` sees them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter

from .asked import Asked
from .assignments import fits, good_pods
from .facts import Key
from .holdings import Holding
from .observed import ObservedRevision
from .pinning import pinning_adapters
from .surge import Crew, Limits, Shares, shares


@dataclass(frozen=True)
class Sharing:
    """One endpoint with what bears on how its revisions share pods."""

    endpoint: InferenceEndpoint
    observed: tuple[ObservedRevision, ...]
    wanted: str | None
    holdings: tuple[Holding, ...]
    asked: Mapping[Key, Asked]
    adapters: tuple[LoRAAdapter, ...]


def sharing(view: Sharing) -> Shares | None:
    """Looked at closely only where revisions can share: maxSurge is set, or several serve already."""
    spec = view.endpoint.spec
    serving = [r for r in view.observed if r.state == "Serving"]
    if not spec.replicas or (spec.rollout.max_surge is None and len(serving) < 2):
        return None
    surge = spec.replicas if spec.rollout.max_surge is None else spec.rollout.max_surge
    limits = Limits(spec.replicas, surge, spec.rollout.max_unavailable)
    return shares([_crew(view, revision, serving) for revision in view.observed], view.wanted, limits)


def _crew(view: Sharing, revision: ObservedRevision, serving: list[ObservedRevision]) -> Crew:
    return Crew(
        name=revision.name,
        state=revision.state,
        replicas=revision.replicas if revision.uid else 0,
        pods=len(revision.pods),
        good=good_pods(revision, view.holdings, view.asked),
        peer=_is_peer(view, revision),
        pinned=bool(pinning_adapters(revision, serving, view.adapters)),
    )


def _is_peer(view: Sharing, revision: ObservedRevision) -> bool:
    """It runs the wanted one's base, and each of its pods holds everything that the wanted one's pods can hold."""
    wanted = next((r for r in view.observed if r.name == view.wanted), None)
    if wanted is None or wanted.parameters is None or revision.parameters is None:
        return False
    if wanted.parameters.fixed.engine_name != revision.parameters.fixed.engine_name:
        return False
    held = [h for h in view.holdings if fits(revision.parameters, h)]
    same = {h.desired.engine_name for h in held} == {
        h.desired.engine_name for h in view.holdings if fits(wanted.parameters, h)
    }
    return same and len(held) <= revision.parameters.capacity
