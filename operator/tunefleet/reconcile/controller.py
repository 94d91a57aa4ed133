"""The reconcilers as one thing: events go in, keys are worked on, decisions are carried out.

Every path is level-triggered. An event only says which keys to look at; what to do follows from the present state. A
slow resync lists everything, in case events were lost, and looks at every key.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from tunefleet.kube.client import Client
from tunefleet.kube.events import Recorder
from tunefleet.kube.fence import Fence
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.writer import Target, Writer
from tunefleet.plan.demand import DemandReport
from tunefleet.plan.demanded import demanded
from tunefleet.plan.facts import Facts, Key, Manifest, ObjectRef, Settings
from tunefleet.plan.plan import Plan

from .agents import Agents
from .execute import NO_ANSWER, ActionsFailedError, Executor, describe
from .gateways import Gateways
from .gather import Gatherer
from .metrics import Metrics
from .queue import WorkQueue, words
from .store import Store, ref_of
from .watched import USER_KINDS, WATCHED

log = logging.getLogger(__name__)

Decide = Callable[[Facts, ObjectRef, datetime], Plan]
Dependents = Callable[[Facts, ObjectRef], frozenset[ObjectRef]]

RESYNC_SECONDS = 300.0
RETRY_SECONDS = 10.0
"""After a resync that failed."""
REMEMBERED = timedelta(minutes=10)
"""Answers of agents that nobody wrote into a status by then are asked for again."""


class Controller:
    """Everything that acts while this process leads."""

    def __init__(
        self,
        client: Client,
        fence: Fence,
        settings: Settings,
        metrics: Metrics,
        *,
        identity: str,
        decide: Decide,
        dependents: Dependents,
        namespaces: tuple[str, ...] = (),
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        """`namespaces` that are watched, all when empty."""
        self._client = client
        self._decide = decide
        self._dependents = dependents
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._resync_seconds = resync_seconds
        self._resync_now = asyncio.Event()
        self._metrics = metrics
        self.store = Store(settings)
        self.queue: WorkQueue[ObjectRef] = WorkQueue(self._reconcile, metrics)
        self._writer = writer = Writer(client, fence, metrics.wrote)
        self._gatherer = Gatherer(self.store, writer)
        self._agents = Agents(self.store, self._pod_reported)
        self._gateways = Gateways(self.store, client, self._gateway_reported)
        recorder = Recorder(client, fence, identity, on_write=metrics.wrote)
        self._executor = Executor(writer, recorder, self._agents, self)
        metrics.gauge("queue_depth", "Keys that wait for a worker.", lambda: self.queue.depth)
        metrics.gauge("agents", "Engine pods whose agents are followed.", lambda: self._agents.followed)
        metrics.gauge("gateways", "Gateway pods that are followed.", lambda: self._gateways.followed)

    def observe(self, obj: Manifest) -> None:
        """Take in a state of an object, from a watch or as the answer to a write of ours."""
        ref = ref_of(obj)
        before = self._concerned(ref) if self.store.seen(ref) else frozenset()
        if self.store.put(obj):
            self._changed(ref, before | self._concerned(ref))

    def forget(self, ref: ObjectRef, uid: str) -> None:
        """An object is gone."""
        before = self._concerned(ref) if self.store.seen(ref) else frozenset()
        if self.store.remove(ref, uid):
            self._changed(ref, before)

    async def run(self) -> None:
        """Work until stopped. Raises LeadershipLostError."""
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._resync_for_ever(), name="resync"),
                group.create_task(self._gateways.run(), name="gateways"),
            ]
            await self.queue.run()
            for task in beside:
                task.cancel()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what is under way is done."""
        self.queue.stop()

    async def close(self) -> None:
        """After `run` has ended, or instead of it."""
        await self._executor.close()
        await self._agents.close()
        await self._gateways.close()

    def resync_soon(self) -> None:
        """Do not wait for the next resync: events were lost."""
        self._resync_now.set()

    async def resync(self) -> None:
        """List everything, then look at every key. Raises ApiError and what aiohttp raises."""
        for kind, labels in WATCHED.items():
            for namespace in self._namespaces if RESOURCES[kind].namespaced else (None,):
                await self._list(kind, namespace, labels)
        self._agents.follow_all()
        self._forget_answers(datetime.now(UTC) - REMEMBERED)
        self._enqueue(self.store.refs(*USER_KINDS))

    async def _list(self, kind: str, namespace: str | None, labels: str) -> None:
        resource = RESOURCES[kind]
        listing = await self._client.list(resource, namespace, labels)
        objects = ({**item, "apiVersion": resource.api_version, "kind": kind} for item in listing.items)
        self.store.replace_all(kind, namespace, objects, listing.resource_version)

    async def _resync_for_ever(self) -> None:
        wait = self._resync_seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._resync_now.wait()
            self._resync_now.clear()
            try:
                await self.resync()
                wait = self._resync_seconds
            except NO_ANSWER as error:
                log.warning("resync: %s", words(error))
                wait = RETRY_SECONDS

    async def _reconcile(self, ref: ObjectRef) -> float | None:
        try:
            facts = await self._gatherer.gather(ref)
        except NO_ANSWER as error:
            raise ActionsFailedError(describe(ref, error)) from error
        plan = self._decide(facts, ref, datetime.now(UTC))
        for reason in plan.why:
            log.info("%s %s/%s: %s", ref.kind, ref.namespace, ref.name, reason)
        try:
            return await self._executor.execute(ref, plan)
        except ActionsFailedError:
            await self._still_there(ref)
            raise

    async def _still_there(self, ref: ObjectRef) -> None:
        """An object whose deletion no event told of must not be worked on for ever."""
        seen = self.store.seen(ref)
        with suppress(*NO_ANSWER):
            found = await self._writer.read_metadata(Target(*ref))
            if seen and (found is None or found["metadata"]["uid"] != seen.uid):
                self.forget(ref, seen.uid)

    def _changed(self, ref: ObjectRef, concerned: frozenset[ObjectRef]) -> None:
        self._metrics.changes.labels(ref.kind).inc()
        self._enqueue(concerned)
        if ref.kind == "Pod":
            self._agents.follow(Key(ref.namespace, ref.name))

    def _concerned(self, ref: ObjectRef) -> frozenset[ObjectRef]:
        itself = {ref} if ref.kind in USER_KINDS else set()
        return self._dependents(self.store.view(), ref) | itself

    def _pod_reported(self, pod: Key) -> None:
        self._enqueue(self._concerned(ObjectRef("Pod", *pod)))

    def _gateway_reported(self, former: DemandReport | None, latest: DemandReport | None) -> None:
        self._enqueue(demanded(self.store.view(), former, latest))

    def _enqueue(self, refs: Iterable[ObjectRef]) -> None:
        for ref in sorted(refs):
            self.queue.add(ref)

    def _forget_answers(self, before: datetime) -> None:
        known = self.store.inspections
        for request in [r for r, answer in known.items() if answer.finished and answer.finished < before]:
            del known[request]
