"""Where the route table comes from: watches of the three kinds and of engine pods, and the agents' reports.

Every change asks for a new table; all changes of one turn of the loop make one. A table that took t seconds is
followed by at least 9 t without another, so a storm of changes takes a tenth of the process at most, and a single
change is routed in the time of one build.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.names import ENGINE_PORT
from tunefleet.kube.client import Client
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.watch import ObjectKey, Watch
from tunefleet.plan.route_table import EnginePod
from tunefleet.plan.routed import Routed
from tunefleet.plan.routing import build_table

from .agents import Agents
from .external import secret_reader
from .observed import ENGINE_PODS, adapter_of, base_of, endpoint_of, pod_of
from .state import GatewayState

log = logging.getLogger(__name__)

REST = 9.0
"""Times of the last build that pass before the next."""


class Rebuild:
    """Calls `build` soon after it is asked to, however often it is asked."""

    def __init__(self, build: Callable[[], None]) -> None:
        self._build = build
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._asked = False
        self._not_before = 0.0
        self.seconds = 0.0
        """Of the last build."""

    def ask(self) -> None:
        """Something changed."""
        self._asked = True
        if self._handle is None:
            self._handle = self._loop.call_at(max(self._loop.time(), self._not_before), self._run)

    def _run(self) -> None:
        self._asked = False
        start = self._loop.time()
        try:
            self._build()
        finally:  # a build that fails is logged by the loop, and the next change tries again
            self.seconds = self._loop.time() - start
            self._not_before = self._loop.time() + REST * self.seconds
            self._handle = None
        if self._asked:  # by the build itself
            self.ask()


class Sources:
    """Everything that the table is built from, kept current while `run` runs."""

    def __init__(self, client: Client, state: GatewayState, agents: Agents, namespaces: Iterable[str]) -> None:
        self._client = client
        self._state = state
        self._agents = agents
        self._rebuild = Rebuild(self._build)
        agents.on_change = self._rebuild.ask
        self._adapters: list[Watch[Routed]] = []
        self._bases: list[Watch[Routed]] = []
        self._endpoints: list[Watch[InferenceEndpoint]] = []
        self._pods: list[Watch[EnginePod]] = []
        self.complete = asyncio.Event()
        """Everything was listed once, each agent then known was asked once, and the table says so. Stays so."""
        for namespace in tuple(namespaces) or (None,):
            self._adapters.append(self._watch("LoRAAdapter", adapter_of, namespace))
            self._bases.append(self._watch("BaseModel", base_of, namespace))
            self._endpoints.append(self._watch("InferenceEndpoint", endpoint_of, namespace))
            self._pods.append(
                Watch(
                    client,
                    RESOURCES["Pod"],
                    pod_of,
                    self._changed,
                    namespace=namespace,
                    label_selector=ENGINE_PODS,
                )
            )

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._state.externals.run(secret_reader(self._client)))
                for watch in self._watches():
                    group.create_task(watch.run())
                for watch in self._watches():
                    await watch.synced.wait()
                self._rebuild.ask()  # an empty cluster has no change that would
        finally:
            await self._agents.aclose()

    def _watch(self, kind: str, parse: Callable[[dict[str, Any]], Any], namespace: str | None) -> Watch[Any]:
        return Watch(self._client, RESOURCES[kind], parse, self._changed, namespace=namespace)

    def _watches(self) -> Iterator[Watch[Any]]:
        return chain(self._adapters, self._bases, self._endpoints, self._pods)

    def _changed(self, _key: ObjectKey) -> None:
        self._rebuild.ask()

    def _build(self) -> None:
        self._agents.follow(_values(self._pods))
        if not all(watch.synced.is_set() for watch in self._watches()):
            return  # no request comes before everything is known
        table = build_table(
            _values(self._adapters),
            _values(self._bases),
            _values(self._endpoints),
            _values(self._pods),
            self._agents.reports,
            ENGINE_PORT,
        )
        self._state.swap(table)
        counters = self._state.telemetry.counters
        counters.table_builds += 1
        counters.table_seconds = self._rebuild.seconds
        if self._agents.heard_all:
            self.complete.set()


def _values(watches: Iterable[Watch[Any]]) -> Iterator[Any]:
    return chain.from_iterable(watch.store.values() for watch in watches)
