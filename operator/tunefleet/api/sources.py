"""Source URIs: where weights come from. One grammar for bases and adapters.

pvc://CLAIM[/PATH]                a PersistentVolumeClaim of the object's namespace
s3://BUCKET[/PREFIX]              any S3-compatible server; endpoint and keys come from the Secret
gs://BUCKET[/PREFIX]              Google Cloud Storage
az://CONTAINER[/PREFIX]           Azure Blob Storage; the account comes from the Secret
hf://ORG/NAME[/PATH][@REVISION]   a Hugging Face compatible hub (HF_ENDPOINT); without @REVISION the default branch
oci://REGISTRY/REPOSITORY:TAG     an artifact of an OCI registry, or ...@sha256:DIGEST
https://HOST/PATH                 a directory of a web server
mlflow://NAME/VERSION[/PATH]      a registered model's version, or mlflow://NAME[/PATH]@ALIAS
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Scheme(StrEnum):
    """The kinds of place that this version can read."""

    PVC = "pvc"
    S3 = "s3"
    GS = "gs"
    AZ = "az"
    HF = "hf"
    OCI = "oci"
    HTTPS = "https"
    MLFLOW = "mlflow"


_SEGMENT = r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*"
"""No leading dot: a path has neither `..` nor hidden parts."""
_PATH = rf"(/{_SEGMENT})*"
_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REPOSITORY = r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_SHAPES = {
    Scheme.PVC: rf"[a-z0-9]([a-z0-9.-]*[a-z0-9])?{_PATH}/?",
    Scheme.S3: rf"{_BUCKET}{_PATH}/?",
    Scheme.GS: rf"{_BUCKET}{_PATH}/?",
    Scheme.AZ: rf"[a-z0-9]([a-z0-9-]*[a-z0-9])?{_PATH}/?",
    Scheme.HF: rf"{_BUCKET}/{_SEGMENT}{_PATH}(/|@{_SEGMENT}{_PATH})?",
    Scheme.OCI: rf"{_HOST}{_REPOSITORY}(:{_TAG}|@{_DIGEST})",
    Scheme.HTTPS: rf"{_HOST}{_PATH}/?",
    Scheme.MLFLOW: rf"{_BUCKET}(/[0-9]{{1,9}}{_PATH}/?|{_PATH}@{_BUCKET})",
}
_FORMS = {
    Scheme.PVC: "pvc://CLAIM/PATH",
    Scheme.S3: "s3://BUCKET/PREFIX",
    Scheme.GS: "gs://BUCKET/PREFIX",
    Scheme.AZ: "az://CONTAINER/PREFIX",
    Scheme.HF: "hf://ORG/NAME, optionally with /PATH and @REVISION",
    Scheme.OCI: "oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST",
    Scheme.HTTPS: "https://HOST/PATH",
    Scheme.MLFLOW: "mlflow://NAME/VERSION or mlflow://NAME@ALIAS, optionally with /PATH",
}

URI_PATTERN = "^(" + "|".join(f"{scheme}://{shape}" for scheme, shape in _SHAPES.items()) + ")$"
"""Exactly what `parse_source` takes; the schema carries it, so a typo is refused at apply."""

URI_HELP = (
    "write " + ", ".join(form.partition(",")[0] for form in _FORMS.values()) + "; after hf://ORG/NAME may stand "
    "/PATH and @REVISION; parts of a path consist of letters, digits and ._=+- and do not start with a dot"
)


@dataclass(frozen=True)
class SourceUri:
    """A parsed URI: `place` is the claim, the bucket, the organisation, the host, the registry or the model."""

    scheme: Scheme
    place: str
    path: str
    """Without leading and trailing slashes; may be empty. It starts with the repository's name for hf, with the version
    for mlflow unless an alias is given, and is the repository for oci."""
    revision: str | None = None
    """Branch, tag, alias, commit, or `sha256:…`."""

    def __str__(self) -> str:
        tail = f"/{self.path}" if self.path else ""
        mark = ":" if self.scheme is Scheme.OCI and not self.pinned else "@"
        return f"{self.scheme}://{self.place}{tail}" + (f"{mark}{self.revision}" if self.revision else "")

    @property
    def pinned(self) -> bool:
        """Whether the URI itself says which bytes it means, as a commit, a digest or a model's version does."""
        match self.scheme:
            case Scheme.HF:
                return re.fullmatch(r"[0-9a-f]{40}", self.revision or "") is not None
            case Scheme.OCI:
                return re.fullmatch(_DIGEST, self.revision or "") is not None
            case Scheme.MLFLOW:
                return self.revision is None
            case _:
                return False

    def at(self, revision: str) -> "SourceUri":
        """The same place at the commit, digest or version that a moving reference was resolved to."""
        if self.scheme is Scheme.MLFLOW:
            return SourceUri(self.scheme, self.place, "/".join(filter(None, (revision, self.path))))
        return SourceUri(self.scheme, self.place, self.path, revision)

    def may_be(self, resolved: "SourceUri") -> bool:
        """Whether `resolved` can be what this URI was resolved to at some time."""
        if self.pinned or resolved == self:
            return resolved == self
        revision = resolved.path.partition("/")[0] if self.scheme is Scheme.MLFLOW else resolved.revision
        return revision is not None and self.at(revision) == resolved


def parse_source(uri: str) -> SourceUri:
    """Parse a source URI. Raises ValueError with a sentence that says what is wrong."""
    prefix, separator, rest = uri.partition("://")
    if not separator:
        raise ValueError(f"{uri!r} has no scheme: {URI_HELP}")
    if prefix not in set(Scheme):
        known = ", ".join(f"{s}://" for s in Scheme)
        raise ValueError(f"{prefix}:// is not supported; use one of {known}")
    scheme = Scheme(prefix)
    if not re.fullmatch(_SHAPES[scheme], rest):
        raise ValueError(f"{uri!r} is not of the form {_FORMS[scheme]}: {URI_HELP}")
    whole, _, revision = rest.partition("@")
    place, _, path = whole.partition("/")
    if scheme is Scheme.OCI and not revision:
        path, _, revision = path.partition(":")
    return SourceUri(scheme, place, path.strip("/"), revision or None)
