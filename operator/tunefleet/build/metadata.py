"""The metadata that every object of ours carries."""

from typing import Any

from tunefleet.api.names import API_VERSION, COMPONENT, MANAGED_BY, MANAGER
from tunefleet.plan.decision import Owner

Json = dict[str, Any]

ENGINE = "engine"
INSPECTION = "inspection"
GATEWAY = "gateway"
OPERATOR = "operator"

APP_NAME = "app.kubernetes.io/name"
PART_OF = "app.kubernetes.io/part-of"
PRODUCT = "tunefleet"


def labels(component: str) -> dict[str, str]:
    """Kubernetes' recommended labels; `managed-by` is what the operator and the gateway watch by."""
    return {APP_NAME: PRODUCT, PART_OF: PRODUCT, COMPONENT: component, MANAGED_BY: MANAGER}


def metadata(owner: Owner, name: str, component: str, more: dict[str, str]) -> Json:
    """In the owner's namespace, controlled by it: it goes when the owner goes. `more`: further labels."""
    return {
        "name": name,
        "namespace": owner.ref.namespace,
        "labels": {**labels(component), **more},
        "ownerReferences": [owner_reference(owner)],
    }


def owner_reference(owner: Owner) -> Json:
    """The controlling owner."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.ref.kind,
        "name": owner.ref.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
