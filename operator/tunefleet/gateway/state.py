"""What every connection of one gateway process shares."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from tunefleet.plan.credentials import ENGINE_PURPOSE, derive
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, RouteTable

from .answers import Answer, model_list
from .balancer import Balancer
from .demand import Demand
from .engines import EnginePool
from .hold import Hold
from .metrics import Metrics
from .settings import Settings


class EngineKeys:
    """The keys that engines accept, derived from the fleet's gateway key."""

    def __init__(self, fleet_key: bytes) -> None:
        self._fleet_key = fleet_key
        self.header = lru_cache(maxsize=4096)(self._header)
        """The Authorization line for an endpoint's engines, by namespace and endpoint."""

    def _header(self, namespace: str, endpoint: str) -> bytes:
        return f"authorization: Bearer {derive(self._fleet_key, ENGINE_PURPOSE, namespace, endpoint)}\r\n".encode()

    def of(self, backend: Backend) -> bytes:
        """The Authorization line for one engine."""
        return self.header(backend.pod.namespace, backend.endpoint)


@dataclass
class GatewayState:
    """The route table, swapped as a whole by one assignment, and what requests are counted in."""

    settings: Settings
    keys: EngineKeys
    clock: Callable[[], float]
    """Monotonic seconds: the loop's."""
    metrics: Metrics = field(default_factory=Metrics)
    draining: bool = False
    """No new connections; every answer from now on closes its own."""

    def __post_init__(self) -> None:
        self.balancer = Balancer(self.clock)
        self.pool = EnginePool(self.clock, self.settings.timeouts.connect)
        self.hold = Hold(self.settings.hold, self.clock, self.metrics)
        self.demand = Demand(self.metrics, self.hold, self.clock, lambda: datetime.now(UTC))
        self._table = RouteTable()
        self._models: Answer | None = None

    @property
    def table(self) -> RouteTable:
        """Where models go, now."""
        return self._table

    def swap(self, table: RouteTable) -> None:
        """Route by this table from the next request on; requests on their way keep their engine."""
        self._table, self._models = table, None
        self.metrics.models.set(len(table.models))
        self.metrics.keep(table.routes)
        self.balancer.keep(table.routes.values())
        self.demand.follow(table)
        self.hold.follow(table)

    def alive(self, pod: Key) -> None:
        """A pod gave a sign of life."""
        if self.balancer.forgive(pod):
            self.hold.release()

    def sweep(self) -> None:
        """What is looked at about once a second."""
        self.pool.sweep()
        self.hold.probe()
        self.demand.look()

    def models(self) -> Answer:
        """GET /v1/models, rendered once a table."""
        if self._models is None:
            self._models = model_list(self._table)
        return self._models
