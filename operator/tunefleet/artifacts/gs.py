"""gs://BUCKET/PREFIX: Google Cloud Storage.

The key comes from the given environment alone. Without one requests are anonymous, and a private bucket says
AccessDenied; GOOGLE_METADATA_SERVER=true asks the metadata server instead, which answers with the pod's identity where
the cluster gives pods one, and with the node's elsewhere.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import GCSStore

from tunefleet.api.sources import SourceUri

from .object_store import RETRIES, ObjectStoreSource, Words, bad_settings, client_options

if TYPE_CHECKING:
    from obstore.store import GCSConfig

_WORDS = Words(
    server="Google Cloud Storage",
    place="bucket",
    endpoint="GOOGLE_BASE_URL",
    credentials="GOOGLE_SERVICE_ACCOUNT_KEY",
)


def open_gs(uri: SourceUri, environment: Mapping[str, str]) -> ObjectStoreSource:
    """A store for the URI with the environment's credentials. Opens no connection yet."""
    endpoint = environment.get("GOOGLE_BASE_URL", "")
    try:
        store = GCSStore(
            uri.place,
            prefix=uri.path or None,
            config=_config(environment, endpoint),
            client_options=client_options(endpoint),
            retry_config=RETRIES,
        )
    except BaseError as error:
        raise bad_settings(str(uri), _WORDS) from error
    return ObjectStoreSource(str(uri), store, _WORDS)


def _config(environment: Mapping[str, str], endpoint: str) -> "GCSConfig":
    config: GCSConfig = {}
    if endpoint:
        config["base_url"] = endpoint.rstrip("/")
    if key := environment.get("GOOGLE_SERVICE_ACCOUNT_KEY"):
        config["service_account_key"] = key
    elif token := environment.get("GOOGLE_BEARER_TOKEN"):
        config["bearer_token"] = token
    elif environment.get("GOOGLE_METADATA_SERVER") != "true":
        config["skip_signature"] = True
    return config
