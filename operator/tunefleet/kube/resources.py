"""Where each kind lives in the API server's tree; one API version a kind."""

from typing import NamedTuple
from urllib.parse import quote

from tunefleet.api.names import API_VERSION


class Resource(NamedTuple):
    """One kind as the API server serves it."""

    api_version: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; empty for core."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None = None, name: str = "", subresource: str | None = None) -> str:
        """The URL path of an object, of a collection, or with no namespace of the collection in all namespaces."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        tail = "".join(f"/{quote(part, safe='')}" for part in (name, subresource) if part)
        return f"{root}{where}/{self.plural}{tail}"


RESOURCES = {
    "BaseModel": Resource(API_VERSION, "basemodels"),
    "LoRAAdapter": Resource(API_VERSION, "loraadapters"),
    "InferenceEndpoint": Resource(API_VERSION, "inferenceendpoints"),
    "Deployment": Resource("apps/v1", "deployments"),
    "Job": Resource("batch/v1", "jobs"),
    "Pod": Resource("v1", "pods"),
    "Secret": Resource("v1", "secrets"),
    "ServiceAccount": Resource("v1", "serviceaccounts"),
    "Role": Resource("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Resource("rbac.authorization.k8s.io/v1", "rolebindings"),
    "NetworkPolicy": Resource("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Resource("policy/v1", "poddisruptionbudgets"),
    "Node": Resource("v1", "nodes", namespaced=False),
    "Event": Resource("v1", "events"),
    "Lease": Resource("coordination.k8s.io/v1", "leases"),
}
"""Every kind that Tunefleet reads or writes."""
