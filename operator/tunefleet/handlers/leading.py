"""What the process does while it holds the Lease: watch, decide, write; and how it stops.

Stopping in order: no new work begins, what is under way finishes, the Lease is released, then the watches close. So
whoever takes over never acts beside us, and does not wait for the Lease to run out.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import kopf

from tunefleet.kube.client import ApiError, Client
from tunefleet.kube.lease import Lease
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.writer import NOT_FOUND
from tunefleet.reconcile.controller import Controller
from tunefleet.reconcile.store import ref_of
from tunefleet.reconcile.watched import USER_KINDS, WATCHED

from .health import Health
from .wiring import build_registry, build_settings

log = logging.getLogger(__name__)

LEASE_NAME = "tunefleet-operator"
FINISH_SECONDS = 12.0
"""For work under way when the process is told to stop: more than one write takes."""


class MissingCrdsError(Exception):
    """The API server does not know the three kinds."""


class Events:
    """Where kopf's events go."""

    def __init__(self, controller: Controller, health: Health, namespace: str) -> None:
        """`namespace` is the one of the operator's Lease."""
        self._controller = controller
        self._health = health
        self._namespace = namespace
        self._listed = False

    def observe(self, obj: dict[str, Any]) -> None:
        """An object was listed or written."""
        self._controller.observe(obj)

    def deleted(self, obj: dict[str, Any]) -> None:
        """An object was deleted."""
        self._controller.forget(ref_of(obj), obj["metadata"]["uid"])

    def lease_seen(self, lease: dict[str, Any]) -> None:
        """Our heartbeat, unless it is a Lease of that name in another namespace."""
        if lease["metadata"]["namespace"] == self._namespace:
            self._health.beat()

    def lease_listed(self) -> None:
        """A second list means that watches broke: kopf does not tell what was deleted meanwhile."""
        if self._listed:
            log.info("watches were broken; everything is listed anew")
            self._controller.resync_soon()
        self._listed = True


async def check_crds(client: Client, namespaces: tuple[str, ...]) -> None:
    """Raises MissingCrdsError with a sentence that says what to do."""
    for kind in USER_KINDS:
        try:
            await client.list(RESOURCES[kind], next(iter(namespaces), None))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            raise MissingCrdsError(
                f"the API server does not know {kind}; apply the CRDs first: kubectl apply --server-side -f crds/"
            ) from error


async def lead(
    lease: Lease,
    controller: Controller,
    health: Health,
    namespaces: tuple[str, ...],
    stop: asyncio.Event,
    on_spawned: Callable[[], None],
) -> bool:
    """Act until told to stop (True), or until the Lease, a watch or the queue is lost (False).

    `on_spawned` is called when kopf has installed its signal handlers, to install ours again.
    """
    health.lead(watches(namespaces), lambda: controller.queue.oldest_running)
    events = Events(controller, health, controller.store.settings.namespace)
    holding = asyncio.create_task(lease.hold(), name="holding the Lease")
    working = asyncio.create_task(_work(controller, health), name="the work queue")
    watching = asyncio.create_task(_watch(events, namespaces, on_spawned), name="the watches")
    stopping = asyncio.create_task(stop.wait(), name="waiting for the signal to stop")
    try:
        done, _ = await asyncio.wait((holding, working, watching, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            _report(task)
        return done == {stopping}
    finally:
        controller.stop()
        if not health.synced.is_set():
            working.cancel()
        await _end(working, FINISH_SECONDS)
        await lease.release()
        await controller.close()
        for task in (holding, working, watching, stopping):
            task.cancel()
        await _end(watching, FINISH_SECONDS)


def watches(namespaces: tuple[str, ...]) -> int:
    """How many watches kopf opens: one a kind and namespace, with none given one a kind."""
    return sum(len(namespaces) or 1 if RESOURCES[kind].namespaced else 1 for kind in (*WATCHED, "Lease"))


async def _watch(events: Events, namespaces: tuple[str, ...], on_spawned: Callable[[], None]) -> None:
    """Run kopf until it fails. Raises what its watches raised."""
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=build_registry(events),
        settings=build_settings(LEASE_NAME),
        identity=cast("Any", LEASE_NAME),  # else kopf asks for the user's name, and a pod's user has none
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
    )
    on_spawned()
    await kopf.run_tasks(tasks, ignored=others)


async def _work(controller: Controller, health: Health) -> None:
    await health.synced.wait()
    log.info("everything is listed; deciding")
    await controller.run()


async def _end(task: "asyncio.Task[None]", seconds: float) -> None:
    """Wait for a task, whatever becomes of it."""
    await asyncio.wait((task,), timeout=seconds)


def _report(task: "asyncio.Task[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    log.error("%s ended%s", task.get_name(), f": {error}" if error else "", exc_info=error)
