"""LoRAAdapter: the versions of one adapter, and the one that answers."""

from typing import Annotated

from pydantic import Field

from .canary import AdapterRollout, CanaryStatus
from .common import (
    MAX_VERSIONS,
    ObjectMeta,
    ObjectReference,
    ObjectStatus,
    ServedModelName,
    Version,
    VersionNumber,
    VersionStatus,
)
from .schema import Schema
from .validation import Rule, checked, keyed_by

_LISTED = "self.versions.exists(v, v.version == self.activeVersion)"
_STILL_SERVING = (
    "!has(self.status) || !has(self.status.servingVersion)"
    " || self.spec.versions.exists(v, v.version == self.status.servingVersion)"
    " || !oldSelf.spec.versions.exists(v, v.version == self.status.servingVersion)"
)


class LoRAAdapterVersion(Version):
    """One immutable version of an adapter, pinned to a version of its base."""

    base_model_version: VersionNumber
    """The version of the base that it was trained on. Adapter and base are served as a unit."""


class Loading(Schema):
    """On how many engine pods an adapter is. Free slots are filled beyond that, the most asked-for adapters first."""

    min_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of pods of an endpoint that hold it at least. 0: it sleeps when nobody asked for idleSeconds, and a
    request loads it."""
    idle_seconds: Annotated[int, Field(ge=1, le=604800)] = 1800
    """Seconds without a request until an adapter with minReplicas 0 is unloaded."""


class LoRAAdapterSpec(Schema):
    """The versions of an adapter, and the one that shall answer. Patch activeVersion to promote or to roll back."""

    rules = (
        Rule(
            _LISTED,
            "activeVersion is not listed in versions",
            "'activeVersion %d is not listed in versions: list it, or name a listed one (none is removed while active)'"
            ".format([self.activeVersion])",
            field_path=".activeVersion",
        ),
    )

    base_model_ref: ObjectReference = Field(
        json_schema_extra=checked(
            Rule("self == oldSelf", "baseModelRef never changes; create another LoRAAdapter for another base model")
        )
    )
    """The BaseModel of this namespace that it adapts. It never changes."""
    served_model_name: ServedModelName | None = None
    """The name by which clients ask for it. It is metadata.name when absent."""
    active_version: VersionNumber
    """The version that shall answer. Patch it up to promote and down to roll back."""
    versions: Annotated[
        tuple[LoRAAdapterVersion, ...],
        Field(min_length=1, max_length=MAX_VERSIONS, json_schema_extra=keyed_by("version")),
    ]
    """The versions that there are. An entry never changes; add a new one, and remove old ones that no longer serve."""
    keep_warm: Annotated[int, Field(ge=0, le=8)] = 1
    """Number of former versions that stay loaded, so that going back to them takes no load."""
    loading: Loading = Loading()
    """On how many engine pods it is, and when it may sleep."""
    rollout: AdapterRollout = AdapterRollout()
    """How a new active version takes the traffic over. Without steps it does so at once."""


MAX_FINGERPRINTS = 8


class Fingerprint(Schema):
    """What one version makes of fixed prompts on one kind of engine."""

    engine: Annotated[str, Field(max_length=64)]
    """Digest of what can change the figures: vLLM's version, base, number format, parallelism and processor."""
    logprobs: Annotated[tuple[float, ...], Field(max_length=64)]
    """The highest log-probabilities of the first token after each prompt, in falling order, prompt by prompt."""


class LoRAAdapterVersionStatus(VersionStatus):
    """What was found out about one version of an adapter."""

    base_model_version: int | None = None
    """The version of the base that it was judged against."""
    rank: int | None = None
    """The rank of its tensors; the highest, where modules differ."""
    target_modules: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """The modules that it adapts."""
    fingerprints: Annotated[
        tuple[Fingerprint, ...], Field(max_length=MAX_FINGERPRINTS, json_schema_extra=keyed_by("engine"))
    ] = ()
    """What it makes of fixed prompts, recorded at its first load on each kind of engine and compared at every later
    one."""


class Traffic(Schema):
    """A share of the requests for the served name."""

    version: int
    """Number of the version."""
    engine_name: str
    """The name under which engines know these bytes."""
    weight: int = 100
    """Share of the requests, in percent."""


class Loaded(Schema):
    """On how many engine pods the serving version is."""

    ready: int = 0
    """Pods that hold it and answered a probe."""
    desired: int = 0
    """Pods that shall hold it."""


class Transition(Schema):
    """A version left traffic, and another one answers."""

    time: str
    """When it happened."""
    from_version: int | None = Field(default=None, validation_alias="from", serialization_alias="from")
    """The version that left; absent for the first."""
    to_version: int = Field(validation_alias="to", serialization_alias="to")
    """The version that serves after."""
    cause: str
    """What caused it: Promoted (up) or RolledBack (down) when the serving version changed; CanaryWorse with figures,
    CanaryAborted or CanarySuperseded when a canary left."""


MAX_HISTORY = 32


class LoRAAdapterStatus(ObjectStatus):
    """What is served, and what the operator found out about the versions."""

    serving_version: int | None = None
    """The version that answers now."""
    traffic: Annotated[tuple[Traffic, ...], Field(max_length=8)] = ()
    """Versions that answer, with their shares."""
    loaded: Loaded = Loaded()
    """On how many engine pods the serving version is."""
    asleep_since: str | None = None
    """When it was unloaded because nobody asked for it; absent while it is awake."""
    canary: CanaryStatus | None = None
    """The active version while it is not the serving one and traffic moves in steps, or after it was taken back."""
    versions: Annotated[
        tuple[LoRAAdapterVersionStatus, ...],
        Field(max_length=4 * MAX_VERSIONS, json_schema_extra=keyed_by("version")),
    ] = ()
    """One entry for each version, removed ones included, because a number is never used again for other bytes."""
    history: Annotated[tuple[Transition, ...], Field(max_length=MAX_HISTORY)] = ()
    """Changes of the serving version, and canaries that left traffic; latest last."""


class LoRAAdapter(Schema):
    """A LoRA adapter of a base model and its numbered versions, one of which answers."""

    rules = (
        Rule(
            _STILL_SERVING,
            "the version that serves cannot be removed",
            "'version %d still answers: remove it when status.servingVersion has moved on'"
            ".format([self.status.servingVersion])",
            field_path=".spec.versions",
        ),
    )

    metadata: ObjectMeta
    spec: LoRAAdapterSpec
    status: LoRAAdapterStatus = LoRAAdapterStatus()

    @property
    def served_name(self) -> str:
        """What clients write as `model`."""
        return self.spec.served_model_name or self.metadata.name
