"""The identity of an endpoint's pods."""

from tunefleet.plan.decision import EndpointAccess

from .access import access_metadata
from .metadata import Json


def service_account(access: EndpointAccess) -> Json:
    """Its token is mounted by the pod, into the agent alone."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": access_metadata(access),
        "automountServiceAccountToken": False,
    }
