"""LoRAAdapter: the versions of one adapter, and the one that answers."""

from typing import Annotated

from pydantic import Field

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


class LoRAAdapterVersion(Version):
    """One immutable version of an adapter, pinned to a version of its base."""

    base_model_version: VersionNumber
    """The base's version that it was trained on; adapter and base are served as a unit."""


class LoRAAdapterSpec(Schema):
    """An adapter: patch activeVersion to promote or to roll back."""

    base_model_ref: ObjectReference
    """The BaseModel of this namespace that it adapts."""
    served_model_name: ServedModelName | None = None
    """What clients write as `model`; metadata.name when absent."""
    active_version: VersionNumber
    """The version that shall answer; patch it up to promote and down to roll back."""
    versions: Annotated[tuple[LoRAAdapterVersion, ...], Field(min_length=1, max_length=MAX_VERSIONS)]
    """Append-only: an entry never changes; add a new one."""
    keep_warm: Annotated[int, Field(ge=0, le=8)] = 1
    """Former active versions that stay loaded, so that going back takes no load."""


class LoRAAdapterVersionStatus(VersionStatus):
    """What was found out about one version of an adapter."""

    base_model_version: int | None = None
    """The base's version that it was judged against."""
    rank: int | None = None
    """The rank of its tensors (the highest, where modules differ)."""
    target_modules: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """The modules that it adapts."""


class Traffic(Schema):
    """A share of the requests for the served name."""

    version: int
    """Number of the version."""
    engine_name: str
    """The name under which engines know these bytes."""
    weight: int = 100
    """Percent."""


class Loaded(Schema):
    """On how many engine pods the serving version is."""

    ready: int = 0
    """Pods that hold it and answered a probe."""
    desired: int = 0
    """Pods that shall hold it."""


class Transition(Schema):
    """A change of the serving version."""

    time: str
    """RFC 3339."""
    from_version: int | None = Field(default=None, alias="from")
    """Version before; absent for the first."""
    to_version: int = Field(alias="to")
    """Version after."""
    cause: str
    """Promoted, RolledBack, or the words of what happened."""


MAX_HISTORY = 32


class LoRAAdapterStatus(ObjectStatus):
    """What is served, and what was found out."""

    serving_version: int | None = None
    """The version that answers now."""
    traffic: Annotated[tuple[Traffic, ...], Field(max_length=8)] = ()
    """Versions that answer, with their shares."""
    loaded: Loaded = Loaded()
    """Where the serving version is."""
    versions: Annotated[tuple[LoRAAdapterVersionStatus, ...], Field(max_length=4 * MAX_VERSIONS)] = ()
    """One entry a version, removed ones included: a number is never used again for other bytes."""
    history: Annotated[tuple[Transition, ...], Field(max_length=MAX_HISTORY)] = ()
    """Changes of the serving version, latest last."""


class LoRAAdapter(Schema):
    """A LoRA adapter and its numbered versions."""

    metadata: ObjectMeta
    spec: LoRAAdapterSpec
    status: LoRAAdapterStatus = LoRAAdapterStatus()

    @property
    def served_name(self) -> str:
        """What clients write as `model`."""
        return self.spec.served_model_name or self.metadata.name
