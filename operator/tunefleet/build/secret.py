"""The keys that an endpoint's engines and agents accept."""

from base64 import b64encode

from tunefleet.plan.credentials import AGENT_READ_TOKEN, AGENT_WRITE_TOKEN, ENGINE_KEY
from tunefleet.plan.decision import EndpointAccess

from .access import access_metadata
from .metadata import Json


def secret(access: EndpointAccess) -> Json:
    """Derived, so writing it again after it was lost gives the same keys, and running pods go on."""
    credentials = access.credentials
    values = {
        ENGINE_KEY: credentials.engine_key,
        AGENT_READ_TOKEN: credentials.agent_read_token,
        AGENT_WRITE_TOKEN: credentials.agent_write_token,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": access_metadata(access),
        "data": {key: b64encode(value.encode()).decode() for key, value in values.items()},
    }
