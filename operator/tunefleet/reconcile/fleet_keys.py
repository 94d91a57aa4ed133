"""The fleet's two keys: read from their Secret, or made when there is none yet."""

import base64
import binascii
import secrets
from typing import NamedTuple

from tunefleet.api.names import FIELD_MANAGER, MANAGED_BY, MANAGER
from tunefleet.kube.client import ApiError, Json
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.writer import CONFLICT, NOT_FOUND, Writer
from tunefleet.plan.credentials import FLEET_SECRET, GATEWAY_KEY, OPERATOR_KEY

KEY_BYTES = 32


class FleetKeysError(Exception):
    """The Secret exists and cannot be used; the message says what to do."""


class FleetKeys(NamedTuple):
    """From these every engine's and agent's key is derived."""

    operator: bytes
    gateway: bytes


async def ensure_fleet_keys(writer: Writer, namespace: str) -> FleetKeys:
    """The keys of the Secret tunefleet-fleet; it is created with random ones if it is absent, and never changed.

    Raises FleetKeysError when it exists without usable keys, and what Writer raises.
    """
    while True:
        try:
            found = await writer.client.get(RESOURCES["Secret"], namespace, FLEET_SECRET)
            return read_keys(found)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
        try:
            await writer.create(_new_secret(namespace))
        except ApiError as error:
            if error.status != CONFLICT:
                raise


def read_keys(secret: Json) -> FleetKeys:
    """The keys in a Secret. Raises FleetKeysError."""
    data = secret.get("data") or {}
    try:
        keys = FleetKeys(*(base64.b64decode(data.get(name, ""), validate=True) for name in (OPERATOR_KEY, GATEWAY_KEY)))
    except binascii.Error:
        keys = FleetKeys(b"", b"")
    if any(len(key) < KEY_BYTES for key in keys):
        raise FleetKeysError(
            f"Secret {FLEET_SECRET} lacks {OPERATOR_KEY} or {GATEWAY_KEY} of at least {KEY_BYTES} bytes;"
            " delete it to have new ones made (engines restart with new keys)"
        )
    return keys


def _new_secret(namespace: str) -> Json:
    data = {name: base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() for name in (OPERATOR_KEY, GATEWAY_KEY)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": FLEET_SECRET,
            "namespace": namespace,
            "labels": {MANAGED_BY: MANAGER, "app.kubernetes.io/part-of": FIELD_MANAGER},
        },
        "type": "Opaque",
        "data": data,
    }
