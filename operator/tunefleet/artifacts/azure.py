"""az://CONTAINER/PREFIX: Azure Blob Storage; the storage account is named by the Secret.

Credentials come from the given environment alone: an account key, a shared access signature, a service principal, or
the token file that Azure's workload identity puts into a pod. Without any, requests are anonymous.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import AzureStore

from tunefleet.api.sources import SourceUri

from .errors import denied
from .object_store import RETRIES, ObjectStoreSource, Words, bad_settings, client_options

if TYPE_CHECKING:
    from obstore.store import AzureConfig

_WORDS = Words(
    server="the storage account",
    place="container",
    endpoint="AZURE_STORAGE_ENDPOINT",
    credentials="AZURE_STORAGE_ACCOUNT_KEY, or what stands in its place,",
)


def open_azure(uri: SourceUri, environment: Mapping[str, str]) -> ObjectStoreSource:
    """A store for the URI with the environment's account and credentials. Opens no connection yet."""
    account = environment.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise denied(f"{uri}: no storage account; set AZURE_STORAGE_ACCOUNT_NAME in the Secret named by secretRef")
    endpoint = environment.get("AZURE_STORAGE_ENDPOINT", "")
    try:
        store = AzureStore(
            uri.place,
            prefix=uri.path or None,
            config=_config(environment, account, endpoint),
            client_options=client_options(endpoint),
            retry_config=RETRIES,
        )
    except BaseError as error:
        raise bad_settings(str(uri), _WORDS) from error
    return ObjectStoreSource(str(uri), store, _WORDS)


def _config(environment: Mapping[str, str], account: str, endpoint: str) -> "AzureConfig":
    config: AzureConfig = {"account_name": account}
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    client, tenant = environment.get("AZURE_CLIENT_ID"), environment.get("AZURE_TENANT_ID")
    if key := environment.get("AZURE_STORAGE_ACCOUNT_KEY"):
        return {**config, "credential_type": "access_key", "account_key": key}
    if signature := environment.get("AZURE_STORAGE_SAS_TOKEN"):
        return {**config, "credential_type": "sas_token", "sas_key": signature}
    if not (client and tenant):
        return {**config, "skip_signature": True}
    config |= {"client_id": client, "tenant_id": tenant}
    if authority := environment.get("AZURE_AUTHORITY_HOST"):
        config["authority_host"] = authority
    if secret := environment.get("AZURE_CLIENT_SECRET"):
        return {**config, "credential_type": "client_secret", "client_secret": secret}
    token = environment.get("AZURE_FEDERATED_TOKEN_FILE", "")
    return {**config, "credential_type": "workload_identity", "federated_token_file": token}
