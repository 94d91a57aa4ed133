"""Pod Security `restricted`, and nothing writable but what a container is given."""

from .metadata import Json

USER = 65532
"""uid and gid of every container, as the runtime images have it."""

_NAMES = ("USER", "LOGNAME")


def pod_security() -> Json:
    """securityContext of a pod. Sources are mounted read-only, so fsGroup changes no owner on
    them; a model cache is given to it, where its kind of volume can be."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Json:
    """securityContext of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def home_environment() -> list[Json]:
    """A home for a user that no passwd file knows; torch asks for its name when it makes a cache directory."""
    return [{"name": "HOME", "value": "/tmp"}, *({"name": n, "value": "tunefleet"} for n in _NAMES)]  # noqa: S108
