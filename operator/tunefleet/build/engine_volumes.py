"""Volumes of an engine pod and where its containers see them."""

from collections.abc import Sequence

from .metadata import Json

MODELS = "/models"
ADAPTERS = "/adapters"
SOURCES = "/sources"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a directory
ADAPTERS_BYTES = 64 * 2**30
"""Bound for adapters on a pod's disk: room for as many as there can be slots, 512, at 128 MiB each (rank 16 on all
linear layers of a Llama of 8 billion parameters takes 80 MiB). Nothing is reserved."""
_HEADROOM_BYTES = 4 * 2**30
"""The kubelet evicts a pod past the volume's limit: a transfer that is being checked must not come that far."""
_TOKEN_SECONDS = 3607
"""As the API server's own injection asks for (an hour, and seven seconds that tell it apart)."""


def volumes(claims: Sequence[str], model_cache: str | None) -> list[Json]:
    """Of the whole pod. Each container has a /tmp of its own."""
    models: Json = {"persistentVolumeClaim": {"claimName": model_cache}} if model_cache else {"emptyDir": {}}
    return [
        {"name": "models", **models},
        {"name": "adapters", "emptyDir": {"sizeLimit": str(ADAPTERS_BYTES + _HEADROOM_BYTES)}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        *({"name": f"tmp-{container}", "emptyDir": {}} for container in ("fetch", "agent", "engine")),
        _token(),
        *source_volumes(claims),
    ]


def source_volumes(claims: Sequence[str]) -> list[Json]:
    """PersistentVolumeClaims, read-only. Names are numbered: a claim's own name may be too long, or have dots."""
    return [
        {"name": f"source-{number}", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        for number, claim in enumerate(claims)
    ]


def source_mounts(claims: Sequence[str]) -> list[Json]:
    """Each claim at /sources/CLAIM."""
    return [
        {"name": f"source-{number}", "mountPath": f"{SOURCES}/{claim}", "readOnly": True}
        for number, claim in enumerate(claims)
    ]


def fetch_mounts(claims: Sequence[str]) -> list[Json]:
    """The fetch writes the base's weights."""
    return [{"name": "models", "mountPath": MODELS}, _tmp("fetch"), *source_mounts(claims)]


def agent_mounts(claims: Sequence[str]) -> list[Json]:
    """The agent writes adapters, and is the only one with the service account's token."""
    return [
        {"name": "models", "mountPath": MODELS, "readOnly": True},
        {"name": "adapters", "mountPath": ADAPTERS},
        {"name": "token", "mountPath": TOKEN, "readOnly": True},
        _tmp("agent"),
        *source_mounts(claims),
    ]


def engine_mounts() -> list[Json]:
    """The engine reads what the other two wrote."""
    return [
        {"name": "models", "mountPath": MODELS, "readOnly": True},
        {"name": "adapters", "mountPath": ADAPTERS, "readOnly": True},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        _tmp("engine"),
    ]


def _tmp(container: str) -> Json:
    return {"name": f"tmp-{container}", "mountPath": "/tmp"}  # noqa: S108


def _token() -> Json:
    """What automounting would give to every container, for the agent alone."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]
    return {"name": "token", "projected": {"sources": sources}}
