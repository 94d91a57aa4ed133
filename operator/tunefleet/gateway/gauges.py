"""Metrics of what has a state of its own: read from there when they are asked for."""

from collections.abc import Iterator

from . import names
from .exposition import Sample
from .state import GatewayState
from .tls import Tls


def add_gauges(state: GatewayState, tls: Tls | None) -> None:
    """Breakers, and the certificate if there is one."""
    state.metrics.add(names.BREAKERS_OPEN, lambda: _breakers(state))
    if tls is not None:
        state.metrics.add(names.CERTIFICATE, lambda: [((), tls.expires.timestamp())])


def _breakers(state: GatewayState) -> Iterator[Sample]:
    now = state.clock()
    for key, breaker in sorted(state.fallbacks.breakers.items()):
        yield (key.namespace, key.name), float(breaker.open(now))
