"""A revision: everything of an engine that cannot change while it runs, as one unit with one name.

The name is a hash of the parameters, so equal wishes are one Deployment, also after a crash between two writes.
Replicas are not part of it. What was chosen automatically (tensor, products, slots, rank, claims) is: once a revision
stands, a wish that left the choice open is fulfilled by whatever it has, as long as that is enough. So a node that
joins, or an adapter that leaves, never restarts an engine, and going back finds the former revision again.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tunefleet.api.inference_endpoint import CPU, Auto, Engine
from tunefleet.api.names import GROUP, child_name, short_hash
from tunefleet.api.schema import Schema
from tunefleet.engine.flags import Device

from .canonical import canonical_json

ANNOTATION_PARAMETERS = f"{GROUP}/parameters"
"""On revision Deployments: RevisionParameters as JSON, from which every later decision reads what stands."""


class FixedParameters(Schema):
    """What the spec decides alone. Any change makes another revision."""

    pod_template: str
    """Names the form of the pods that the operator makes; see `build.pod_template`."""
    base_model: str
    base_version: int
    base_digest: str
    base_uri: str
    base_secret: str | None = None
    engine_name: str
    image: str
    image_pull_policy: str
    engine: Engine
    """With `image` taken out, since the resolved one stands above."""
    pipeline: int
    resource_name: str
    regions: tuple[str, ...] = ()
    model_cache: str | None = None
    """PersistentVolumeClaim that keeps base weights between pods."""


class RevisionParameters(Schema):
    """One revision in full."""

    fixed: FixedParameters
    tensor: int
    products: tuple[str, ...] = ()
    """Values of nvidia.com/gpu.product that will do, sorted; empty: any."""
    slots: int
    max_rank: int
    claims: tuple[str, ...] = ()
    """PersistentVolumeClaims mounted for reading, sorted."""

    @property
    def device(self) -> Device:
        """What the engine computes on."""
        return "cpu" if self.fixed.resource_name == CPU else "gpu"

    @property
    def accelerators(self) -> int:
        """Devices that one replica asks for."""
        return 0 if self.device == "cpu" else self.tensor * self.fixed.pipeline

    @property
    def capacity(self) -> int:
        """Adapters that an engine may be given. vLLM's CPU kernels answer base requests from the last slot when they
        share a batch with an adapter's, so there the last slot stays empty."""
        return self.slots - 1 if self.device == "cpu" else self.slots


@dataclass(frozen=True)
class Wish:
    """What an endpoint's spec asks of a revision, open where it says Auto."""

    fixed: FixedParameters
    tensor: int | Auto
    products: tuple[str, ...]
    slots: int | Auto
    max_rank: int | Auto
    least_capacity: int
    """Adapters that have to be held now."""
    least_rank: int
    """Highest rank among them."""
    claims: frozenset[str]
    """Claims that they, and the base, are read from."""


def fulfils(parameters: RevisionParameters, wish: Wish) -> bool:
    """A revision with these parameters is what the wish asks for."""
    return (
        parameters.fixed == wish.fixed
        and wish.tensor in ("Auto", parameters.tensor)
        and wish.products in ((), parameters.products)
        and _pool_fulfils(parameters, wish)
        and wish.claims <= set(parameters.claims)
    )


def _pool_fulfils(parameters: RevisionParameters, wish: Wish) -> bool:
    slots = parameters.capacity >= wish.least_capacity if wish.slots == "Auto" else parameters.slots == wish.slots
    rank = parameters.max_rank >= wish.least_rank if wish.max_rank == "Auto" else parameters.max_rank == wish.max_rank
    return slots and rank


def revision_name(endpoint: str, parameters: RevisionParameters) -> str:
    """Name of the revision and of its Deployment."""
    return child_name(endpoint, short_hash(canonical_json(parameters.dump())))


def read_parameters(annotations: dict[str, Any]) -> RevisionParameters | None:
    """What a Deployment's annotation says; None for one that another version of the operator wrote differently."""
    text = annotations.get(ANNOTATION_PARAMETERS, "")
    try:
        return RevisionParameters.model_validate_json(text)
    except ValidationError:
        return None
