"""Which manifests a typed child stands for."""

from typing import assert_never

from tunefleet.plan.decision import Child, EndpointAccess, FallbackAccess, InspectionJob, RevisionWorkload

from .engine_deployment import engine_deployment
from .fallback_access import fallback_role, fallback_role_binding
from .inspection_job import inspection_job
from .metadata import Json
from .network_policy import network_policy
from .pod_disruption_budget import pod_disruption_budget
from .role import role
from .role_binding import role_binding
from .secret import secret
from .service_account import service_account

_ACCESS = (service_account, role, role_binding, secret, network_policy, pod_disruption_budget)
"""In the order in which pods need them."""


def manifests(child: Child) -> tuple[Json, ...]:
    """All objects of a child, in the order in which they are written."""
    match child:
        case EndpointAccess():
            return tuple(build(child) for build in _ACCESS)
        case FallbackAccess():
            return fallback_role(child), fallback_role_binding(child)
        case RevisionWorkload():
            return (engine_deployment(child),)
        case InspectionJob():
            return (inspection_job(child),)
        case _:
            assert_never(child)
