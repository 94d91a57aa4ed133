"""What every connection of one gateway process shares."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import final

from tunefleet.plan.credentials import ENGINE_PURPOSE, derive
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, Route, RouteTable, ServedModel

from .access import Access, Tenant
from .answers import Answer, model_list
from .balancer import Balancer
from .demand import Demand
from .engine_pool import EnginePool
from .external import Externals
from .fallback import Fallbacks
from .head_cache import HeadCache
from .hold import Hold
from .metrics import Metrics
from .pods import Pod
from .request_ids import RequestIds
from .response_head import ResponseHeadCache
from .settings import Settings
from .telemetry import Telemetry

SLACK_SECONDS = 1.0
"""What is counted from the time of the last sweep must not end too early."""


class EngineKeys:
    """The keys that engines accept, derived from the fleet's gateway key."""

    def __init__(self, fleet_key: bytes) -> None:
        self._fleet_key = fleet_key
        self._lines: dict[tuple[str, str], bytes] = {}

    def of(self, backend: Backend) -> bytes:
        """The Authorization line for one engine; each endpoint has a key of its own."""
        where = backend.pod.namespace, backend.endpoint
        line = self._lines.get(where)
        if line is None:
            key = derive(self._fleet_key, ENGINE_PURPOSE, *where)
            line = self._lines[where] = f"authorization: Bearer {key}\r\n".encode()
        return line


@final
class GatewayState:
    """The route table, swapped as a whole by one assignment, and what requests are counted in."""

    def __init__(
        self,
        settings: Settings,
        keys: EngineKeys,
        clock: Callable[[], float] = time.monotonic,
        access: Access | None = None,
    ) -> None:
        """`clock`: monotonic seconds. Open to everybody without `access`."""
        self.settings = settings
        self.clock = clock
        self.access = access if access is not None else Access()
        self.telemetry = Telemetry(clock)
        self.metrics = Metrics(self.telemetry)
        self.draining = False
        """No new connections; every answer from now on closes its own."""
        self.now: float = clock()
        """The time of the last sweep, so up to a second ago: good enough for deadlines, and free."""
        self.engine_timeout: float = settings.timeouts.engine + SLACK_SECONDS
        self.idle_timeout: float = settings.timeouts.idle + SLACK_SECONDS
        self.request_ids = RequestIds()
        self.heads = HeadCache()
        self.response_heads = ResponseHeadCache()
        self.balancer = Balancer(keys.of, self.telemetry.series, self.telemetry.counters.ejections)
        self.hold = Hold(settings.hold, clock, self.telemetry.counters)
        self.externals = Externals(clock, self.telemetry.counters.ejections, self.hold.release)
        self.fallbacks = Fallbacks(self.balancer, self.externals, self.telemetry.series, clock)
        self.pool = EnginePool(self.pods, settings.timeouts.connect)
        self.demand = Demand(self.telemetry, self.hold, clock, lambda: datetime.now(UTC))
        self.table = RouteTable()
        """Where models go, now."""
        self.routes: Mapping[str, Route] = {}
        """The table's."""
        self._models: Answer | None = None

    def swap(self, table: RouteTable) -> None:
        """Route by this table from the next request on; requests on their way keep their engine."""
        self.table = table
        self.routes = table.routes
        self._models = None
        counters = self.telemetry.counters
        counters.models = len(table.models)
        counters.routes = len(table.routes)
        self.telemetry.keep(table.routes)
        self.balancer.follow(table)
        self.fallbacks.follow(table)
        self.demand.follow(table)
        self.hold.follow(table)

    def pods(self) -> list[Pod]:
        """Everything that requests go to."""
        return [*self.balancer.pods(), *self.externals.pods()]

    def alive(self, pod: Key) -> None:
        """A pod gave a sign of life."""
        if self.balancer.forgive(pod):
            self.hold.release()

    def sweep(self) -> None:
        """What is looked at about once a second."""
        self.now = self.clock()
        self.pool.sweep(self.now)
        self.hold.probe()
        self.hold.comfort()
        self.demand.look()
        self.telemetry.sweep()

    def models(self, tenant: Tenant) -> Answer:
        """GET /v1/models; rendered once a table for all tenants that see everything."""
        if not tenant.sees_all:
            return model_list(self.visible(tenant))
        models = self._models
        if models is None:
            models = self._models = model_list(self.table.models)
        return models

    def visible(self, tenant: Tenant) -> list[ServedModel]:
        """The models that can answer now and exist for the tenant."""
        return [model for model in self.table.models if tenant.sees(self.routes[model.name])]
