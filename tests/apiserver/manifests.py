"""Manifests that the API server takes, and ways to change one field of them."""

import copy
from typing import Any

from tunefleet.api.names import API_VERSION

Json = dict[str, Any]

DIGEST = "sha256:" + "1f" * 32


def version(number: int = 1, **fields: Any) -> Json:
    """A version of an adapter; `baseModelVersion` does no harm to none."""
    return {"version": number, "source": {"uri": f"s3://models/german/v{number}"}, "baseModelVersion": 1} | fields


def base_model(**spec: Any) -> Json:
    """A base model with one version."""
    return _object("BaseModel", {"versions": [{"version": 1, "source": {"uri": "s3://models/base"}}]} | spec)


def adapter(**spec: Any) -> Json:
    """An adapter with one version, which is active."""
    return _object(
        "LoRAAdapter", {"baseModelRef": {"name": "tiny-chat"}, "activeVersion": 1, "versions": [version()]} | spec
    )


def endpoint(**spec: Any) -> Json:
    """An endpoint that says no more than it must."""
    return _object("InferenceEndpoint", {"model": {"name": "tiny-chat", "version": 1}} | spec)


def sourced(uri: str, **fields: object) -> Json:
    """An adapter whose only version has this source."""
    return adapter(versions=[version(source={"uri": uri} | fields)])


def named(manifest: Json, name: str) -> Json:
    """The manifest under another name."""
    renamed = copy.deepcopy(manifest)
    renamed["metadata"]["name"] = name
    return renamed


def _object(kind: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "sample"}, "spec": spec}
