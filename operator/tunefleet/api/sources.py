"""Source URIs: where weights come from. One grammar for bases and adapters.

pvc://CLAIM/PATH                a PersistentVolumeClaim of the object's namespace
s3://BUCKET/PREFIX              any S3-compatible server; endpoint and keys come from the Secret
hf://ORG/NAME[/PATH]@REVISION   a Hugging Face compatible hub (HF_ENDPOINT); without @REVISION the default branch
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Scheme(StrEnum):
    """The kinds of place that this version can read."""

    PVC = "pvc"
    S3 = "s3"
    HF = "hf"


URI_PATTERN = r"^(pvc|s3|hf)://[A-Za-z0-9][A-Za-z0-9._/@=+-]*$"
"""What the API accepts; the schema carries it, so a typo is refused at apply."""

_URI = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<place>[^/@]+)(?P<path>(?:/[^@]*)?)(?:@(?P<revision>.+))?")


@dataclass(frozen=True)
class SourceUri:
    """A parsed URI: `place` is the claim, the bucket or the organisation."""

    scheme: Scheme
    place: str
    path: str
    """Without leading and trailing slashes; may be empty."""
    revision: str | None = None

    def __str__(self) -> str:
        tail = f"/{self.path}" if self.path else ""
        return f"{self.scheme}://{self.place}{tail}" + (f"@{self.revision}" if self.revision else "")


def parse_source(uri: str) -> SourceUri:
    """Parse a source URI. Raises ValueError with a sentence that says what is wrong."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError(f"{uri!r} is not SCHEME://PLACE/PATH; see the reference of source URIs")
    if match["scheme"] not in set(Scheme):
        known = ", ".join(f"{s}://" for s in Scheme)
        raise ValueError(f"{match['scheme']}:// is not supported; use one of {known}")
    path = match["path"].strip("/")
    if ".." in path.split("/"):
        raise ValueError(f"{uri!r} may not contain '..'")
    if match["revision"] and match["scheme"] != Scheme.HF:
        raise ValueError(f"{uri!r}: only hf:// takes @REVISION")
    return SourceUri(Scheme(match["scheme"]), match["place"], path, match["revision"])
