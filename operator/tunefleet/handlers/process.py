"""The operator process from start to end: wait for the Lease, act, stop."""

import asyncio
import logging
import os
import secrets
import signal
import socket

from tunefleet.build.decide import decide
from tunefleet.kube.client import ApiError, Client, NoClusterError
from tunefleet.kube.lease import Lease
from tunefleet.kube.writer import Writer
from tunefleet.plan.dependents import dependents
from tunefleet.plan.facts import Settings
from tunefleet.reconcile.controller import Controller
from tunefleet.reconcile.fleet_keys import FleetKeysError, ensure_fleet_keys
from tunefleet.reconcile.metrics import Metrics

from .admin import serve
from .health import Health
from .leading import LEASE_NAME, MissingCrdsError, check_crds, lead
from .options import Options

log = logging.getLogger(__name__)


async def operate(options: Options) -> int:
    """The exit status: 0 when told to stop, 1 when the process cannot go on and must be started anew."""
    stop = asyncio.Event()
    on_signals(stop)
    try:
        async with await Client.connect() as client:
            return await _stand_by(client, options, stop)
    except (MissingCrdsError, FleetKeysError, NoClusterError, ApiError, OSError) as error:
        log.error("%s", error)
        return 1


def on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set the event."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def acquired(lease: Lease, stop: asyncio.Event) -> bool:
    """Wait for the Lease; False when told to stop before."""
    acquiring = asyncio.create_task(lease.acquire())
    stopping = asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait((acquiring, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    if acquiring in done:
        await acquiring
    return acquiring in done and not stop.is_set()


async def _stand_by(client: Client, options: Options, stop: asyncio.Event) -> int:
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
    lease = Lease(client, options.namespace, LEASE_NAME, identity, seconds=options.lease_seconds)
    health, metrics = Health(), Metrics()
    async with serve("0.0.0.0", options.admin_port, health, metrics.registry):
        log.info("%s waits for the Lease %s/%s", identity, options.namespace, LEASE_NAME)
        try:
            if not await acquired(lease, stop):
                return 0
            metrics.is_leader.set(1)
            return await _act(client, lease, health, metrics, identity, options, stop)
        finally:
            metrics.is_leader.set(0)
            await lease.release()


async def _act(
    client: Client,
    lease: Lease,
    health: Health,
    metrics: Metrics,
    identity: str,
    options: Options,
    stop: asyncio.Event,
) -> int:
    await check_crds(client, options.namespaces)
    keys = await ensure_fleet_keys(Writer(client, lease, metrics.wrote), options.namespace)
    settings = Settings(
        namespace=options.namespace,
        runtime_image=options.runtime_image,
        image_pull_policy=options.image_pull_policy,
        operator_key=keys.operator,
        gateway_key=keys.gateway,
    )
    controller = Controller(
        client,
        lease,
        settings,
        metrics,
        identity=identity,
        decide=decide,
        dependents=dependents,
        namespaces=options.namespaces,
    )
    told = await lead(lease, controller, health, options.namespaces, stop, lambda: on_signals(stop))
    return 0 if told else 1
