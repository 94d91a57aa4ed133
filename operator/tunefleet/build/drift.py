"""Does an object stand as it shall? Asked for every child in every decision, so that a steady state writes nothing.

Two questions, since the API server adds defaults and other writers add fields of their own: is every field that we
set there with our value, and did we last apply this very manifest (else a field that we no longer set may still be
there)? Manifests are written in the form in which the API server gives them back (quantities, protocols, default
values that matter), which a test against a real API server holds them to.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from tunefleet.api.names import ANNOTATION_APPLIED
from tunefleet.plan.canonical import canonical_json
from tunefleet.plan.facts import Manifest

from .metadata import Json

METADATA_ONLY = frozenset({"Secret"})
"""Kinds of which the operator reads no more than the metadata; a changed content shows in the hash."""

IMMUTABLE = frozenset({"Job"})
"""Kinds that are made once: their template can never be changed."""


def sealed(manifest: Manifest) -> Json:
    """The manifest with the annotation that names it."""
    meta = manifest["metadata"]
    digest = hashlib.sha256(canonical_json(manifest).encode()).hexdigest()
    annotations = {**meta.get("annotations", {}), ANNOTATION_APPLIED: digest}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def differs(wanted: Manifest, observed: Manifest | None) -> str | None:
    """Where the sealed manifest is not as wanted, as a path; None when nothing has to be written."""
    if observed is None:
        return "missing"
    if wanted["kind"] in IMMUTABLE:
        return None
    if wanted["kind"] in METADATA_ONLY:
        return _difference(wanted["metadata"], observed["metadata"], "metadata")
    return _difference(wanted, observed, "")


def _difference(wanted: Any, observed: Any, path: str) -> str | None:
    """The path of the first field of `wanted` that `observed` lacks or has otherwise."""
    if isinstance(wanted, Mapping):
        if not isinstance(observed, Mapping):
            return path if wanted or observed is not None else None
        fields = (_difference(value, observed.get(key), f"{path}.{key}".lstrip(".")) for key, value in wanted.items())
        return next((found for found in fields if found), None)
    if isinstance(wanted, list):
        return _list_difference(wanted, observed or [], path)
    return None if wanted == observed else path


def _list_difference(wanted: list[Any], observed: Any, path: str) -> str | None:
    if not isinstance(observed, list) or len(wanted) != len(observed):
        return path
    pairs = enumerate(zip(wanted, observed, strict=True))
    return next((found for n, (w, o) in pairs if (found := _difference(w, o, f"{path}[{n}]"))), None)
