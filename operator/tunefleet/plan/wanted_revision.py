"""Which revision an endpoint's spec asks for: one that stands and fulfils it, else a new one, sized now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunefleet.api.inference_endpoint import CPU, EndpointPlan, InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.engine.flags import Device

from .facts import Facts, Settings
from .holdings import Holding, Need
from .lora_pool import MAX_SLOTS, max_rank_for, slots_for
from .observed import ObservedRevision
from .parallelism import Demand, Parallelism, choose
from .revision import FixedParameters, RevisionParameters, Wish, fulfils, revision_name
from .target import BaseTarget
from .versions import claim_of

_PREFERENCE = {"Serving": 0, "Progressing": 1, None: 1, "Warm": 2, "Draining": 3}


@dataclass(frozen=True)
class WantedRevision:
    """The revision that the endpoint shall serve by."""

    name: str
    parameters: RevisionParameters
    why: tuple[str, ...]
    """How its numbers came about."""


def wanted_revision(
    facts: Facts,
    endpoint: InferenceEndpoint,
    target: BaseTarget,
    observed: Sequence[ObservedRevision],
    adapters: Sequence[LoRAAdapter],
    holdings: Sequence[Holding],
) -> WantedRevision:
    """Stands already, or is new."""
    wish = make_wish(facts.settings, endpoint, target, holdings)
    fresh = _fresh(facts, endpoint, target, wish, observed, adapters)
    for revision in sorted(observed, key=_preference):
        parameters = revision.parameters
        if parameters and fulfils(parameters, wish) and not _outdated(revision, parameters, fresh.parameters):
            return WantedRevision(revision.name, parameters, _kept(endpoint, revision.name, parameters, fresh.why))
    return fresh


def endpoint_plan(wanted: WantedRevision) -> EndpointPlan:
    """The revision's numbers as the status shows them."""
    parameters = wanted.parameters
    return EndpointPlan(
        tensor=parameters.tensor,
        accelerators_per_replica=parameters.accelerators,
        slots=parameters.slots,
        max_rank=parameters.max_rank,
        why=wanted.why,
    )


def make_wish(settings: Settings, endpoint: InferenceEndpoint, target: BaseTarget, holdings: Iterable[Holding]) -> Wish:
    """The spec as a wish; what its adapters need comes from those that may be held already."""
    spec = endpoint.spec
    held = [h for h in holdings if h.base_version == target.version]
    if spec.adapters.max_rank != "Auto":
        held = [h for h in held if h.desired.rank <= int(spec.adapters.max_rank)]
    lasting = [h for h in held if h.need is not Need.LEAVING]
    claims = {claim for uri in (target.uri, *(h.desired.uri for h in held)) if (claim := claim_of(uri))}
    return Wish(
        fixed=_fixed(settings, endpoint, target),
        tensor=1 if spec.accelerator.resource_name == CPU else spec.parallelism.tensor,
        products=tuple(sorted(spec.accelerator.products)),
        slots=spec.adapters.slots,
        max_rank=spec.adapters.max_rank,
        least_capacity=min(len(lasting), MAX_SLOTS - 1),
        least_rank=max((h.desired.rank for h in lasting), default=0),
        claims=frozenset(claims),
    )


def _fixed(settings: Settings, endpoint: InferenceEndpoint, target: BaseTarget) -> FixedParameters:
    spec = endpoint.spec
    return FixedParameters(
        pod_template=settings.pod_template,
        base_model=target.name,
        base_version=target.version,
        base_digest=target.digest,
        base_uri=target.uri,
        base_secret=target.secret_name,
        engine_name=target.engine_name,
        image=spec.engine.image or settings.runtime_image,
        image_pull_policy=settings.image_pull_policy,
        engine=spec.engine.model_copy(update={"image": None}),
        pipeline=1 if spec.accelerator.resource_name == CPU else spec.parallelism.pipeline,
        resource_name=spec.accelerator.resource_name,
        regions=tuple(sorted(spec.placement.regions)),
        model_cache=spec.model_cache.claim_name if spec.model_cache else None,
    )


def _fresh(
    facts: Facts,
    endpoint: InferenceEndpoint,
    target: BaseTarget,
    wish: Wish,
    observed: Sequence[ObservedRevision],
    adapters: Sequence[LoRAAdapter],
) -> WantedRevision:
    """A new revision; its automatic pool is never smaller than any that stands."""
    split = _parallelism(facts, target, wish)
    former = [r.parameters for r in observed if r.parameters]
    device: Device = "cpu" if wish.fixed.resource_name == CPU else "gpu"
    slots = slots_for(wish.slots, adapters, wish.least_capacity, device)
    max_rank = max_rank_for(wish.max_rank, wish.least_rank)
    parameters = RevisionParameters(
        fixed=wish.fixed,
        tensor=split.tensor,
        products=split.products,
        slots=max([slots, *(p.slots for p in former)]) if wish.slots == "Auto" else slots,
        max_rank=max([max_rank, *(p.max_rank for p in former)]) if wish.max_rank == "Auto" else max_rank,
        claims=tuple(sorted(wish.claims)),
    )
    why = (split.why, _pool_why(wish, parameters, len(adapters)))
    return WantedRevision(revision_name(endpoint.metadata.name, parameters), parameters, why)


def _parallelism(facts: Facts, target: BaseTarget, wish: Wish) -> Parallelism:
    if wish.fixed.resource_name == CPU:
        return Parallelism(1, (), "tensor 1: no device")
    if wish.tensor != "Auto":
        return Parallelism(wish.tensor, wish.products, f"tensor {wish.tensor}: as spec.parallelism.tensor says")
    demand = Demand(wish.fixed.resource_name, wish.products, wish.fixed.regions, wish.fixed.pipeline)
    return choose(target.architecture, demand, facts.nodes.values())


def _pool_why(wish: Wish, parameters: RevisionParameters, adapters: int) -> str:
    slots = "as the spec says" if wish.slots != "Auto" else f"for {adapters} adapters and their warm versions"
    needed = f"highest needed now {wish.least_rank}" if wish.least_rank else "no adapter has been read yet"
    rank = "as the spec says" if wish.max_rank != "Auto" else needed
    return f"slots {parameters.slots}: {slots}; max rank {parameters.max_rank}: {rank}"


def _preference(revision: ObservedRevision) -> tuple[int, str]:
    return (_PREFERENCE[revision.state], revision.name)


def _outdated(revision: ObservedRevision, stands: RevisionParameters, fresh: RevisionParameters) -> bool:
    """None of its pods ever found a node, and other nodes are there now: it is not worth waiting for."""
    if revision.state not in (None, "Progressing") or not revision.pods or revision.scheduled:
        return False
    return (stands.tensor, stands.products) != (fresh.tensor, fresh.products)


def _kept(
    endpoint: InferenceEndpoint, name: str, parameters: RevisionParameters, fresh_why: tuple[str, ...]
) -> tuple[str, ...]:
    """The reasons that were given when it was made; what is true of it now when they are lost."""
    known = endpoint.status.plan
    same = known is not None and endpoint_plan(WantedRevision(name, parameters, known.why)) == known
    return known.why if known is not None and same else fresh_why
