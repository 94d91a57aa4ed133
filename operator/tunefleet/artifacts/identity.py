"""The identity that a cluster gave this very pod: variables that admission webhooks of clouds put into its containers.

AWS: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html and pod-identities.html;
Azure: https://azure.github.io/azure-workload-identity/docs/topics/mutating-admission-webhook.html. All of them name a
token file or an address that only this pod has, so nothing here is the node's.
"""

from collections.abc import Mapping

VARIABLES = (
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_REGION",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
)


def workload_identity(environ: Mapping[str, str]) -> dict[str, str]:
    """Of a container's environment, what is its pod's identity."""
    return {name: environ[name] for name in VARIABLES if environ.get(name)}
