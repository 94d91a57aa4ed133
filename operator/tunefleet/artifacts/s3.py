"""s3://BUCKET/PREFIX: any S3-compatible server.

Endpoint and keys come from the given environment alone (a Secret's data, a pod's own identity), never from the node:
without keys and without a workload identity requests are anonymous, and a private bucket says AccessDenied.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import S3Store

from tunefleet.api.sources import SourceUri

from .object_store import RETRIES, ObjectStoreSource, Words, bad_settings, client_options

if TYPE_CHECKING:
    from obstore.store import S3Config

DEFAULT_REGION = "us-east-1"
_WORKLOAD_IDENTITY = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_WORDS = Words(
    server="the S3 server",
    place="bucket",
    endpoint="AWS_ENDPOINT_URL",
    credentials="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    key_codes=frozenset(
        # the last is versitygw's
        {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "XAdminUserNotFound"}
    ),
)


def open_s3(uri: SourceUri, environment: Mapping[str, str]) -> ObjectStoreSource:
    """A store for the URI with the environment's endpoint and credentials. Opens no connection yet."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    try:
        store = S3Store(
            uri.place,
            prefix=uri.path or None,
            config=_config(environment, endpoint),
            client_options=client_options(endpoint),
            retry_config=RETRIES,
        )
    except BaseError as error:
        raise bad_settings(str(uri), _WORDS) from error
    return ObjectStoreSource(str(uri), store, _WORDS)


def _config(environment: Mapping[str, str], endpoint: str) -> "S3Config":
    config: S3Config = {"region": environment.get("AWS_REGION") or DEFAULT_REGION}
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    if key := environment.get("AWS_ACCESS_KEY_ID"):
        config["access_key_id"] = key
        config["secret_access_key"] = environment.get("AWS_SECRET_ACCESS_KEY", "")
        if token := environment.get("AWS_SESSION_TOKEN"):
            config["session_token"] = token
    elif not any(environment.get(name) for name in _WORKLOAD_IDENTITY):
        config["skip_signature"] = True
    return config
