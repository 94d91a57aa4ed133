"""Source URIs: where weights come from. One grammar for bases and adapters.

pvc://CLAIM[/PATH]                a PersistentVolumeClaim of the object's namespace
s3://BUCKET[/PREFIX]              any S3-compatible server; endpoint and keys come from the Secret
hf://ORG/NAME[/PATH][@REVISION]   a Hugging Face compatible hub (HF_ENDPOINT); without @REVISION the default branch
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Scheme(StrEnum):
    """The kinds of place that this version can read."""

    PVC = "pvc"
    S3 = "s3"
    HF = "hf"


_SEGMENT = r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*"
"""No leading dot: a path has neither `..` nor hidden parts."""
_PATH = rf"(/{_SEGMENT})*"
_SHAPES = {
    Scheme.PVC: rf"[a-z0-9]([a-z0-9.-]*[a-z0-9])?{_PATH}/?",
    Scheme.S3: rf"[A-Za-z0-9][A-Za-z0-9._-]*{_PATH}/?",
    Scheme.HF: rf"[A-Za-z0-9][A-Za-z0-9._-]*/{_SEGMENT}{_PATH}(/|@{_SEGMENT}{_PATH})?",
}
_FORMS = {
    Scheme.PVC: "pvc://CLAIM/PATH",
    Scheme.S3: "s3://BUCKET/PREFIX",
    Scheme.HF: "hf://ORG/NAME, optionally with /PATH and @REVISION",
}

URI_PATTERN = "^(" + "|".join(f"{scheme}://{shape}" for scheme, shape in _SHAPES.items()) + ")$"
"""Exactly what `parse_source` takes; the schema carries it, so a typo is refused at apply."""

URI_HELP = (
    f"write {_FORMS[Scheme.PVC]}, {_FORMS[Scheme.S3]}, or {_FORMS[Scheme.HF]}; parts of a path consist of letters, "
    "digits and ._=+- and do not start with a dot"
)


@dataclass(frozen=True)
class SourceUri:
    """A parsed URI: `place` is the claim, the bucket or the organisation."""

    scheme: Scheme
    place: str
    path: str
    """Without leading and trailing slashes; may be empty, but for hf where it starts with the repository's name."""
    revision: str | None = None

    def __str__(self) -> str:
        tail = f"/{self.path}" if self.path else ""
        return f"{self.scheme}://{self.place}{tail}" + (f"@{self.revision}" if self.revision else "")


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
    return SourceUri(scheme, place, path.strip("/"), revision or None)
