"""Lets gateways read the one Secret that an endpoint's fallback names, and nothing else."""

from tunefleet.api.names import GATEWAY_ACCOUNT, LABEL_ENDPOINT
from tunefleet.plan.decision import FallbackAccess
from tunefleet.plan.fallback_standing import fallback_access_name

from .metadata import GATEWAY, Json, metadata

RBAC = "rbac.authorization.k8s.io"


def fallback_role(access: FallbackAccess) -> Json:
    """`get` of that name: no list, no watch."""
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": [access.secret_name]}
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": _metadata(access), "rules": [rule]}


def fallback_role_binding(access: FallbackAccess) -> Json:
    """To the gateways' ServiceAccount, which stands in the operator's namespace."""
    subject = {"kind": "ServiceAccount", "name": GATEWAY_ACCOUNT, "namespace": access.operator_namespace}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(access),
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": fallback_access_name(access.owner.ref.name)},
        "subjects": [subject],
    }


def _metadata(access: FallbackAccess) -> Json:
    name = access.owner.ref.name
    return metadata(access.owner, fallback_access_name(name), GATEWAY, {LABEL_ENDPOINT: name})
