"""Carries out a Plan: deletes, applies, agents' orders and questions, statuses, Events.

An action that fails does not keep the others from being done; in the end they all count as one failure, and the key
is decided again after a pause. What was decided on an older state of an object is refused by the API server (409)
and decided again as well. Losing the leadership ends everything at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import aiohttp

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.kube.client import ApiError
from tunefleet.kube.events import Occurrence, Recorder
from tunefleet.kube.writer import CONFLICT, NOT_FOUND, NotOursError, Target, Writer
from tunefleet.plan.facts import Inspection, InspectionRequest, Key, Manifest, ObjectRef
from tunefleet.plan.plan import Deletion, Event, Plan, StatusPatch

from .agents import AgentError, Agents
from .queue import ExpectedError, WorkQueue, words
from .store import Seen, Store, ref_of

log = logging.getLogger(__name__)

CLASH_SECONDS = 1.0
"""An apply that waits for a deletion of the same name is decided again after this at the latest."""


NO_ANSWER = (ApiError, aiohttp.ClientError, TimeoutError)
"""What a request to the API server may raise that another try may mend."""


class ActionsFailedError(ExpectedError):
    """Some actions of a plan failed; the message has them all."""


class World(Protocol):
    """What a plan changes."""

    store: Store
    queue: WorkQueue[ObjectRef]

    def observe(self, obj: Manifest) -> None:
        """An object is like this now."""

    def forget(self, ref: ObjectRef, uid: str) -> None:
        """An object is gone."""


class Executor:
    """Carries out plans. One an operator; plans of different keys may run side by side."""

    def __init__(
        self,
        writer: Writer,
        recorder: Recorder,
        agents: Agents,
        world: World,
    ) -> None:
        """Answers of the API server go into `world` at once, so that nothing is decided on a state from before them."""
        self._writer = writer
        self._recorder = recorder
        self._agents = agents
        self._world = world
        self._store = world.store
        self._questions: set[asyncio.Task[None]] = set()

    async def execute(self, asker: ObjectRef, plan: Plan) -> float | None:
        """Do it all; seconds until the decision may differ without any event.

        Must be awaited with nothing between it and the decision: which state of each object was decided on is read
        off the store before the first request goes out. Raises ActionsFailedError or LeadershipLostError.
        """
        decided_on = {patch.ref: self._store.seen(patch.ref) for patch in plan.statuses}
        going = {deletion.ref for deletion in plan.delete}
        standing = {ref_of(manifest): self._store.seen(ref_of(manifest)) for manifest in plan.apply}
        failures = _Failures()
        for deletion in plan.delete:
            await failures.collect(deletion.ref, self._delete(deletion))
        for manifest in plan.apply:
            if ref_of(manifest) not in going:
                await failures.collect(ref_of(manifest), self._apply(manifest, standing, asker))
        for pod, adapters in plan.assignments.items():
            await failures.collect(ObjectRef("Pod", *pod), self._agents.assign(pod, adapters))
        for request, pod in plan.inspections.items():
            self._ask(asker, request, pod)
        for patch in plan.statuses:
            await failures.collect(patch.ref, self._status(patch, decided_on[patch.ref]))
        for event in plan.events:
            if event.ref not in failures:
                await failures.collect(event.ref, self._event(event))
        failures.raise_any()
        clashes = going & {ref_of(manifest) for manifest in plan.apply}
        return _earliest(plan.requeue_after, CLASH_SECONDS if clashes else None)

    async def close(self) -> None:
        """Ask no more; what is asked will be asked again by whoever comes next."""
        for task in self._questions:
            task.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)

    async def _delete(self, deletion: Deletion) -> None:
        left = await self._writer.delete(Target(*deletion.ref), uid=deletion.uid)
        if left is None:
            self._world.forget(deletion.ref, deletion.uid)
        else:
            self._world.observe(left)

    async def _apply(self, manifest: Manifest, standing: Mapping[ObjectRef, Seen | None], asker: ObjectRef) -> None:
        seen = standing[ref_of(manifest)]
        try:
            self._world.observe(await self._writer.apply(manifest, resource_version=seen.version if seen else None))
        except NotOursError as error:
            owner = self._store.seen(asker)
            if owner:
                occurrence = Occurrence(Target(*asker), owner.uid, "Warning", Reason.NAME_CONFLICT, str(error))
                await self._recorder.record(occurrence)
            raise

    async def _status(self, patch: StatusPatch, seen: Seen | None) -> None:
        if seen is None:
            return
        try:
            answer = await self._writer.apply_status(
                Target(*patch.ref), patch.status, uid=seen.uid, resource_version=seen.version
            )
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
        else:
            self._world.observe(answer)

    async def _event(self, event: Event) -> None:
        """An Event is for people; that one is lost must not make the decision be taken again."""
        try:
            await self._recorder.record(
                Occurrence(Target(*event.ref), event.uid, event.type, event.reason, event.message)
            )
        except NO_ANSWER as error:
            log.warning("Event %s about %s is lost: %s", event.reason, event.ref, words(error))

    def _ask(self, asker: ObjectRef, request: InspectionRequest, pod: Key) -> None:
        started = Inspection(pod, datetime.now(UTC))
        self._store.inspections[request] = started
        task = asyncio.create_task(self._question(asker, request, started), name=f"inspection of {request.uri}")
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _question(self, asker: ObjectRef, request: InspectionRequest, started: Inspection) -> None:
        result: InspectionResult | None = None
        error = ""
        try:
            result = await self._agents.inspect(started.pod, request)
        except AgentError as failed:
            error = str(failed)
        finished = Inspection(started.pod, started.started, datetime.now(UTC), result, error)
        self._store.inspections[request] = finished
        self._world.queue.add(asker)


class _Failures:
    """Errors that were put aside so that other actions go on."""

    def __init__(self) -> None:
        self._found: dict[ObjectRef, str] = {}

    def __contains__(self, ref: ObjectRef) -> bool:
        return ref in self._found

    async def collect(self, ref: ObjectRef, action: Awaitable[None]) -> None:
        """Do it; an error that another try may mend is noted."""
        try:
            await action
        except (*NO_ANSWER, NotOursError, ExpectedError) as error:
            self._found[ref] = describe(ref, error)

    def raise_any(self) -> None:
        """Raises ActionsFailedError if there is any."""
        if self._found:
            raise ActionsFailedError("; ".join(self._found.values()))


def describe(ref: ObjectRef, error: BaseException) -> str:
    """One phrase for the log. Of a Secret only the reason: the API server may quote what it refuses."""
    what = f"{ref.kind} {ref.namespace}/{ref.name}"
    if isinstance(error, ApiError):
        if error.status == CONFLICT:
            return f"{what}: changed meanwhile"
        return f"{what}: {error.status} {error.reason}" if ref.kind == "Secret" else f"{what}: {error}"
    return f"{what}: {words(error)}"


def _earliest(*seconds: float | None) -> float | None:
    return min((value for value in seconds if value is not None), default=None)
