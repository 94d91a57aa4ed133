"""How much each adapter is asked for, over all gateways that have told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .demand import AdapterDemand, DemandReport
from .facts import Key


@dataclass(frozen=True)
class Asked:
    """Requests for one adapter."""

    waiting: int = 0
    """Requests that gateways hold because no engine holds the version."""
    in_flight: int = 0
    """Requests at engines."""
    per_minute: float = 0.0
    """Moving average."""
    last: str = ""
    """When the last request came, RFC 3339; empty when none was told of."""

    @property
    def pressed(self) -> bool:
        """Somebody waits for an answer now."""
        return self.waiting > 0 or self.in_flight > 0


def asked(gateways: Iterable[DemandReport | None]) -> Mapping[Key, Asked]:
    """By adapter; none for those that no gateway was asked for."""
    found: dict[Key, Asked] = {}
    for report in gateways:
        for demand in report.adapters if report else ():
            key = Key(demand.namespace, demand.name)
            found[key] = _sum(found.get(key, Asked()), demand)
    return found


def _sum(former: Asked, demand: AdapterDemand) -> Asked:
    return Asked(
        waiting=former.waiting + demand.waiting,
        in_flight=former.in_flight + demand.in_flight,
        per_minute=former.per_minute + demand.requests_per_minute,
        last=max(former.last, demand.last_asked),
    )
