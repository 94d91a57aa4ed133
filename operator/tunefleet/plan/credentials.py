"""Keys between the processes, derived from two fleet keys, so that nobody stores one a pod.

HMAC-SHA256 of a length-prefixed list of the parts, so that no two lists of parts give one message.
"""

import hmac
from dataclasses import dataclass

ENGINE_PURPOSE = "engine"
AGENT_READ_PURPOSE = "agent-read"
AGENT_WRITE_PURPOSE = "agent-write"

FLEET_SECRET = "tunefleet-fleet"  # noqa: S105 - the name of an object
OPERATOR_KEY = "operatorKey"
GATEWAY_KEY = "gatewayKey"

ENGINE_KEY = "engineKey"
AGENT_READ_TOKEN = "agentReadToken"  # noqa: S105 - a key of a Secret's data
AGENT_WRITE_TOKEN = "agentWriteToken"  # noqa: S105 - a key of a Secret's data


@dataclass(frozen=True)
class EndpointCredentials:
    """What one endpoint's engines and agents accept; 64 hexadecimal digits each."""

    engine_key: str
    agent_read_token: str
    agent_write_token: str


def derive(key: bytes, purpose: str, namespace: str, endpoint: str) -> str:
    """64 hexadecimal digits for this purpose of this endpoint. Raises ValueError for an empty key."""
    if not key:
        raise ValueError("the fleet key is empty")
    parts = (part.encode() for part in (purpose, namespace, endpoint))
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.new(key, message, "sha256").hexdigest()


def endpoint_credentials(operator_key: bytes, gateway_key: bytes, namespace: str, endpoint: str) -> EndpointCredentials:
    """The three of one endpoint. The gateway can derive the first two, only the operator the third."""
    return EndpointCredentials(
        engine_key=derive(gateway_key, ENGINE_PURPOSE, namespace, endpoint),
        agent_read_token=derive(gateway_key, AGENT_READ_PURPOSE, namespace, endpoint),
        agent_write_token=derive(operator_key, AGENT_WRITE_PURPOSE, namespace, endpoint),
    )
