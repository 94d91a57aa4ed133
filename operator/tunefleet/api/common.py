"""Structures that more than one kind uses."""

from typing import Annotated, Any

from pydantic import Field

from .conditions import Condition
from .schema import Schema
from .sources import URI_HELP, URI_PATTERN
from .validation import Rule, keyed_by, worded

MAX_VERSIONS = 64
"""Versions an object may list: keeps the cost of the transition rules inside the API server's budget."""

MAX_MESSAGE = 1024
"""Characters of a message in a status."""

ObjectName = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        json_schema_extra=worded("write the name of an object: at most 63 lowercase letters, digits, '-' and '.'"),
    ),
]
ServedModelName = Annotated[
    str,
    Field(
        max_length=100,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        json_schema_extra=worded(
            "use letters, digits, '.', '_' and '-', with a letter or digit at both ends; "
            "'@' is what parts a name from its version"
        ),
    ),
]
"""What clients write as `model`. No `@`: that parts a name from its version."""
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        json_schema_extra=worded("write the value of a label: letters, digits, '.', '_' and '-'"),
    ),
]
VersionNumber = Annotated[int, Field(ge=1, le=1_000_000)]
Digest = Annotated[
    str,
    Field(
        max_length=71,
        pattern=r"^sha256:[0-9a-f]{64}$",
        json_schema_extra=worded(
            "write sha256: and 64 lowercase hexadecimal digits, or leave digest out and read it in status"
        ),
    ),
]
SourceUriText = Annotated[str, Field(max_length=1024, pattern=URI_PATTERN, json_schema_extra=worded(URI_HELP))]


class ObjectReference(Schema):
    """Another object of the same namespace."""

    name: ObjectName
    """Name of the object."""


class Source(Schema):
    """Where the files of a version are."""

    rules = (
        Rule(
            "!has(self.secretRef) || !self.uri.startsWith('pvc://')",
            "a pvc:// source is mounted and needs no credentials: remove secretRef",
        ),
    )

    uri: SourceUriText
    """Place of the files: `pvc://CLAIM/PATH`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`,
    `hf://ORG/NAME@REVISION`, `oci://REGISTRY/REPOSITORY:TAG`, `https://HOST/PATH` or `mlflow://NAME/VERSION`. A branch,
    a tag or an alias is resolved once, to what `status.versions[].resolvedUri` says."""
    secret_ref: ObjectReference | None = None
    """Secret of this namespace with the credentials. Keys for s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN, AWS_ENDPOINT_URL and AWS_REGION. For gs: GOOGLE_SERVICE_ACCOUNT_KEY (JSON). For az:
    AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN. For hf: HF_TOKEN and
    HF_ENDPOINT. For oci: username and password, or .dockerconfigjson. For https: username and password, or token. For
    mlflow: MLFLOW_TRACKING_URI with MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and
    the keys of the store that holds the artifacts. CA_CERTIFICATE is the authority (PEM) of a private oci, https or
    mlflow server."""


class Version(Schema):
    """One immutable, numbered version."""

    rules = (Rule("self == oldSelf", "a version never changes; add a new one"),)

    version: VersionNumber
    """Number of the version. It is never used again for other bytes."""
    source: Source
    """Where the files are."""
    digest: Digest | None = None
    """The sha256 over the version's files. It is verified when given, and recorded in status when not."""
    lineage: dict[str, Annotated[str, Field(max_length=1024)]] | None = Field(default=None, max_length=32)
    """Where the version comes from, such as its dataset, training run, scores and who promoted it. Engines never see
    it."""


class VersionStatus(Schema):
    """What was found out about one version."""

    version: int
    """Number of the version."""
    digest: str | None = None
    """The sha256 over its files."""
    resolved_uri: str | None = None
    """The URI, with a branch, tag or alias resolved to a commit, digest or version. Engine pods fetch from it."""
    size_bytes: int | None = None
    """Bytes of all its files."""
    accepted: bool | None = None
    """True when it may be served, false when it was refused (see reason), absent while it is being read."""
    reason: str | None = None
    """Why it was refused, or is still being read."""
    message: str | None = None
    """One sentence for people."""
    lineage: dict[str, Annotated[str, Field(max_length=1024)]] | None = Field(default=None, max_length=64)
    """What the source itself tells of the version's origin, such as an MLflow run's parameters and metrics."""


class ObjectStatus(Schema):
    """What every status has."""

    observed_generation: int = -1
    """The generation of the spec that this status speaks of; -1 before the operator has seen the object."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16, json_schema_extra=keyed_by("type"))
    """Ready always; Reconciling and Stalled only while they are true."""


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
