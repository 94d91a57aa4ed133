"""The route table as JSON, for people: where each name leads, and how the pods there do."""

from typing import Any

from tunefleet.plan.fallback import Fallback
from tunefleet.plan.route_table import Backend, Route, Target

from .pods import Pod
from .state import GatewayState


def describe(state: GatewayState) -> dict[str, Any]:
    """`models`: what /v1/models lists; `routes`: by name; `pods`: by NAMESPACE/NAME, or an upstream's host.

    `breakers`: by NAMESPACE/ENDPOINT, of those that have a fallback.
    """
    now = state.clock()
    breakers = sorted(state.fallbacks.breakers.items())
    return {
        "models": [model.name for model in state.table.models],
        "routes": {name: _route(route, state) for name, route in sorted(state.table.routes.items())},
        "pods": {pod.label: _pod(pod, now) for pod in sorted(state.pods(), key=lambda pod: pod.label)},
        "breakers": {f"{key.namespace}/{key.name}": breaker.state(now) for key, breaker in breakers},
    }


def _route(route: Route, state: GatewayState) -> dict[str, Any]:
    return {
        "servedName": route.served_name,
        "namespace": route.namespace,
        "versions": [_target(target) for target in route.targets],
        "fallback": _fallback(route.fallback, state) if route.fallback else None,
        "awaited": route.awaited,
    }


def _fallback(fallback: Fallback, state: GatewayState) -> dict[str, Any]:
    """`problem`: why it cannot be asked; empty when it can."""
    return {"mark": fallback.mark, "problem": state.fallbacks.problem(fallback)}


def _target(target: Target) -> dict[str, Any]:
    pods = [f"{backend.pod.namespace}/{backend.pod.name}" for backend in target.backends]
    return {"engineName": target.engine_name, "weight": target.weight, "pods": pods}


def _pod(pod: Pod, now: float) -> dict[str, Any]:
    return {**pod.describe(now), **(_place(pod.backend) if pod.backend else {})}


def _place(backend: Backend) -> dict[str, str]:
    return {"endpoint": backend.endpoint, "base": backend.base_engine_name, "region": backend.region}
