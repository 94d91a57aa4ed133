"""What a decider returns: the children that shall exist as typed values, and everything else as it goes into a Plan.

`build` turns children into manifests and leaves out those that already stand; this keeps field names of Kubernetes
objects out of decisions, and decisions out of builders.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunefleet.engine.adapters_api import DesiredAdapter

from .credentials import EndpointCredentials
from .facts import InspectionRequest, Key, ObjectRef
from .plan import Deletion, Event, StatusPatch
from .revision import RevisionParameters


@dataclass(frozen=True)
class Owner:
    """The object of ours that a child belongs to."""

    ref: ObjectRef
    uid: str


@dataclass(frozen=True)
class InspectionJob:
    """A Job that reads one version's files and answers through its termination message."""

    owner: Owner
    name: str
    inspected: str
    """`adapter` or `base`."""
    version: int
    uri: str
    digest: str | None
    secret_name: str | None
    image: str
    image_pull_policy: str


@dataclass(frozen=True)
class EndpointAccess:
    """What all pods of an endpoint share: identity, keys, network rules, disruption budget."""

    owner: Owner
    secret_names: tuple[str, ...]
    """Secrets that the agents may read, sorted."""
    credentials: EndpointCredentials = field(repr=False)
    operator_namespace: str


@dataclass(frozen=True)
class FallbackAccess:
    """What gateways need to use an endpoint's fallback: the Secret with its API key."""

    owner: Owner
    secret_name: str
    operator_namespace: str


@dataclass(frozen=True)
class RevisionWorkload:
    """The Deployment of one revision."""

    owner: Owner
    name: str
    parameters: RevisionParameters
    replicas: int


Child = InspectionJob | EndpointAccess | FallbackAccess | RevisionWorkload


@dataclass(frozen=True)
class Decision:
    """See `plan.Plan`; `children` is the full wanted set of those that this decision is about."""

    children: tuple[Child, ...] = ()
    delete: tuple[Deletion, ...] = ()
    assignments: Mapping[Key, tuple[DesiredAdapter, ...]] = field(default_factory=dict)
    inspections: Mapping[InspectionRequest, Key] = field(default_factory=dict)
    statuses: tuple[StatusPatch, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    why: tuple[str, ...] = ()
