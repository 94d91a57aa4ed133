"""What an endpoint's agents may read: the Secrets that its adapters refer to, by name, and nothing else."""

from tunefleet.plan.decision import EndpointAccess

from .access import access_metadata
from .metadata import Json


def role(access: EndpointAccess) -> Json:
    """Without a Secret there is no rule: an empty resourceNames would mean all of them."""
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": list(access.secret_names)}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": access_metadata(access),
        "rules": [rule] if access.secret_names else [],
    }
