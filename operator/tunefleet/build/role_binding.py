"""Gives an endpoint's Role to its ServiceAccount."""

from tunefleet.plan.decision import EndpointAccess

from .access import access_metadata, access_name
from .metadata import Json


def role_binding(access: EndpointAccess) -> Json:
    """Both have the name of the binding."""
    name = access_name(access)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": access_metadata(access),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": access.owner.ref.namespace}],
    }
