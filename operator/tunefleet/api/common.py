"""Structures that more than one kind uses."""

from typing import Annotated, Any

from pydantic import Field

from .conditions import Condition
from .schema import Schema
from .sources import URI_PATTERN

MAX_VERSIONS = 64
"""Versions an object may list: keeps the cost of the transition rules inside the API server's budget."""

MAX_MESSAGE = 1024
"""Characters of a message in a status."""

ObjectName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
ServedModelName = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
]
"""What clients write as `model`. No `@`: that parts a name from its version."""
VersionNumber = Annotated[int, Field(ge=1, le=1_000_000)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
SourceUriText = Annotated[str, Field(max_length=1024, pattern=URI_PATTERN)]


class ObjectReference(Schema):
    """Another object of the same namespace."""

    name: ObjectName
    """Name of the object."""


class Source(Schema):
    """Where the files of a version are."""

    uri: SourceUriText
    """`pvc://CLAIM/PATH`, `s3://BUCKET/PREFIX` or `hf://ORG/NAME@REVISION`."""
    secret_ref: ObjectReference | None = None
    """Secret of this namespace with the credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL,
    AWS_REGION for s3; HF_TOKEN and HF_ENDPOINT for hf."""


class Version(Schema):
    """One immutable, numbered version."""

    version: VersionNumber
    """Number of the version; never used again for other bytes."""
    source: Source
    """Where the files are."""
    digest: Digest | None = None
    """sha256 over the files (see the reference of digests); verified when given, recorded in status when not."""
    lineage: dict[str, Annotated[str, Field(max_length=1024)]] | None = Field(default=None, max_length=32)
    """Where the version comes from: dataset, training run, scores, promotedBy. Free of meaning to the engine."""


class VersionStatus(Schema):
    """What was found out about one version."""

    version: int
    """Number of the version."""
    digest: str | None = None
    """sha256 over the files."""
    resolved_uri: str | None = None
    """The URI with branch or tag resolved to a commit."""
    size_bytes: int | None = None
    """Bytes of all files of the version."""
    accepted: bool | None = None
    """True: may be served. False: refused, see reason. Absent: still being read."""
    reason: str | None = None
    """Why it was refused, or is still being read."""
    message: str | None = None
    """One sentence for people."""


class ObjectStatus(Schema):
    """What every status has."""

    observed_generation: int = -1
    """The generation of the spec that this status speaks of; -1 before the operator has seen the object."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    """Ready, and while they hold Reconciling and Stalled."""


class ObjectMeta(Schema):
    """The part of metav1.ObjectMeta that decisions read."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 1
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})

    @classmethod
    def of(cls, obj: dict[str, Any]) -> "ObjectMeta":
        """The metadata of a Kubernetes object."""
        return cls.read(obj["metadata"])
