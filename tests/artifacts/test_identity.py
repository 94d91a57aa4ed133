"""What of a container's environment is its pod's identity, and what sources make of it."""

from tunefleet.api.sources import parse_source
from tunefleet.artifacts.azure import open_azure
from tunefleet.artifacts.gs import open_gs
from tunefleet.artifacts.identity import workload_identity
from tunefleet.artifacts.object_store import ObjectStoreSource
from tunefleet.artifacts.s3 import open_s3

AWS = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/models", "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token"}
AZURE = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_FEDERATED_TOKEN_FILE": "/var/run/token"}


def settings_of(source: ObjectStoreSource) -> dict[str, object]:
    """What the client was made with."""
    return dict(source.store.config)


def test_only_what_names_the_pod_is_taken() -> None:
    others = {"PATH": "/bin", "AWS_ACCESS_KEY_ID": "of the node", "VLLM_API_KEY": "x", "AZURE_AUTHORITY_HOST": ""}
    assert workload_identity({**AWS, **AZURE, **others}) == {**AWS, **AZURE}


def test_without_keys_and_identity_requests_are_anonymous() -> None:
    assert settings_of(open_s3(parse_source("s3://b/p"), {}))["skip_signature"] == "true"
    assert settings_of(open_gs(parse_source("gs://b/p"), {}))["skip_signature"] == "true"
    account = {"AZURE_STORAGE_ACCOUNT_NAME": "models"}
    assert settings_of(open_azure(parse_source("az://c/p"), account))["skip_signature"] == "true"


def test_an_identity_signs() -> None:
    assert "skip_signature" not in settings_of(open_s3(parse_source("s3://b/p"), AWS))
    metadata = {"GOOGLE_METADATA_SERVER": "true"}
    assert "skip_signature" not in settings_of(open_gs(parse_source("gs://b/p"), metadata))
    azure = settings_of(open_azure(parse_source("az://c/p"), AZURE | {"AZURE_STORAGE_ACCOUNT_NAME": "models"}))
    assert azure["credential_type"] == "workload_identity"
    assert azure["federated_token_file"] == "/var/run/token"


def test_keys_stand_before_an_identity() -> None:
    keys = {"AZURE_STORAGE_ACCOUNT_NAME": "models", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x"}
    assert settings_of(open_azure(parse_source("az://c/p"), AZURE | keys))["credential_type"] == "sas_token"
    principal = {"AZURE_STORAGE_ACCOUNT_NAME": "models", "AZURE_CLIENT_SECRET": "x"}
    assert settings_of(open_azure(parse_source("az://c/p"), AZURE | principal))["credential_type"] == "client_secret"
