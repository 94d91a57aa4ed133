"""What the objects that an endpoint's pods share have in common: one name, one set of labels."""

from tunefleet.api.names import LABEL_ENDPOINT, child_name
from tunefleet.plan.agents import ENGINE_SUFFIX
from tunefleet.plan.decision import EndpointAccess

from .metadata import ENGINE, Json, metadata


def access_name(access: EndpointAccess) -> str:
    """Of all of them."""
    return child_name(access.owner.ref.name, ENGINE_SUFFIX)


def access_metadata(access: EndpointAccess) -> Json:
    """Of all of them."""
    return metadata(access.owner, access_name(access), ENGINE, {LABEL_ENDPOINT: access.owner.ref.name})


def pod_selector(access: EndpointAccess) -> Json:
    """All engine pods of the endpoint."""
    return {"matchLabels": {LABEL_ENDPOINT: access.owner.ref.name}}
