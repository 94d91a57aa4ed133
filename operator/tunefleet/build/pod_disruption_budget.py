"""A node drain takes one engine of an endpoint at a time."""

from tunefleet.plan.decision import EndpointAccess

from .access import access_metadata, pod_selector
from .metadata import Json


def pod_disruption_budget(access: EndpointAccess) -> Json:
    """An endpoint with one replica can still be drained; engines that are not ready never block a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": access_metadata(access),
        "spec": {
            "maxUnavailable": 1,
            "selector": pod_selector(access),
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
