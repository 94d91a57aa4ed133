"""Which kinds are watched, and by which labels: the operator's whole view of the cluster.

Secrets are missing on purpose. To watch them is to read them, all of them. Of the engine Secrets that the operator
itself writes it reads the metadata by name (see `gather`); of the users' it reads nothing.
"""

from tunefleet.api.names import MANAGED_BY, MANAGER

OURS = f"{MANAGED_BY}={MANAGER}"
"""Label selector of everything that the operator makes."""

USER_KINDS = ("BaseModel", "LoRAAdapter", "InferenceEndpoint")
"""What users write; these are the keys of the work queue."""

CHILD_KINDS = (
    "Deployment",
    "Job",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "PodDisruptionBudget",
)
"""What the operator makes and watches, by label."""

WATCHED: dict[str, str] = {
    **dict.fromkeys(USER_KINDS, ""),
    **dict.fromkeys(CHILD_KINDS, OURS),
    "Pod": OURS,
    "Node": "",
}
"""Kind to label selector."""
