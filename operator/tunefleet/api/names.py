"""Every literal that others may depend on: group, labels, annotations, field managers, child and engine names."""

import hashlib
import re

GROUP = "tunefleet.io"
API_VERSION_NAME = "v1alpha1"
API_VERSION = f"{GROUP}/{API_VERSION_NAME}"

FIELD_MANAGER = "tunefleet"
STATUS_FIELD_MANAGER = "tunefleet-status"

LABEL_ENDPOINT = f"{GROUP}/endpoint"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_BASE_MODEL = f"{GROUP}/base-model"
LABEL_BASE_VERSION = f"{GROUP}/base-model-version"
LABEL_INSPECTED_KIND = f"{GROUP}/inspected-kind"
LABEL_INSPECTED_NAME = f"{GROUP}/inspected-name"
LABEL_INSPECTED_VERSION = f"{GROUP}/inspected-version"
ANNOTATION_APPLIED = f"{GROUP}/applied"
"""Hash of the manifest that the operator last applied; says when a field must be taken away."""
ANNOTATION_ENGINE_NAME = f"{GROUP}/engine-name"
"""On engine pods: the base's engine name, NAME@vN-DIGEST8."""
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "tunefleet"

GATEWAY_ACCOUNT = "tunefleet-gateway"
"""ServiceAccount of the gateways, in the operator's namespace."""

KEYS_NAMESPACE = "tunefleet-keys"
"""Where API keys lie, unless another namespace is named."""

ENGINE_PORT = 8000
AGENT_PORT = 8001

MAX_NAME = 63
"""Characters of a name that becomes the value of a label, or the name of a Service."""


def engine_name(served_name: str, version: int, digest: str) -> str:
    """`support-de@v4-1f3a9c2e`: the one name under which these very bytes are known to an engine."""
    return f"{served_name}@v{version}-{digest_hex(digest)[:8]}"


def version_name(served_name: str, version: int) -> str:
    """`support-de@v4`: a version for people, also accepted by the gateway as a model name."""
    return f"{served_name}@v{version}"


def digest_hex(digest: str) -> str:
    """The 64 hexadecimal digits of `sha256:…`. Raises ValueError for anything else."""
    match = re.fullmatch(r"sha256:([0-9a-f]{64})", digest)
    if match is None:
        raise ValueError(f"not a sha256 digest: {digest!r}")
    return match.group(1)


def short_hash(text: str) -> str:
    """Eight hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def child_name(*parts: str) -> str:
    """Parts joined by dashes; past 63 characters the head is cut and a hash of the whole keeps it unique."""
    whole = "-".join(parts)
    if len(whole) <= MAX_NAME:
        return whole
    return f"{whole[: MAX_NAME - 9].rstrip('-.')}-{short_hash(whole)}"
