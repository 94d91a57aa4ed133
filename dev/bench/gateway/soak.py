"""`python -m dev.bench.gateway.soak`: mixed requests for minutes, while engines and versions come and go.

Plain requests, streams, clients that leave, slow readers, keys at their limits, requests that wait for an adapter to
wake, wrong names and wrong keys, about 80 requests and 1,000 events a second, before three engines of which every few
seconds one is killed and started again, or drained for another, while versions change. Ours is the process that users
run. In the end memory has not grown, no file is left open, and every request is accounted for: answered, refused, left
by its client as it meant to, or broken by a kill of its very engine, and the audit trail and the metrics say the same.
Exits with 1 when something of this does not hold.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from dev.bench.figures import write_figures
from dev.locks import alone
from dev.steps import reported, step
from tunefleet.api.names import ENGINE_PORT

from . import objects, ours
from .accounting import Account, Trend, account, trend
from .coming_and_going import Fleet, Place, running
from .control_plane import control_plane
from .processes import Running, allow_many_files, cores, folder, until
from .traffic import Kind, Traffic

ADDRESSES = ("127.0.3.1", "127.0.3.2", "127.0.3.3")
EVERYWHERE, CHANGING, ALONE, SLEEPING = range(20), range(20, 30), range(30, 36), range(36, 40)
"""Numbers of adapters: on every engine, those of two versions, on the last engine only, and those that sleep."""
TURN_SECONDS = 4.0
SAMPLE_SECONDS = 2.0
SETTLE_SECONDS = 3.0
"""From the last answer to the last look."""
GROWTH_MB = 4.0
"""Of memory after the warm-up; less is the allocator's noise."""
JUDGED_MINUTES = 5.0
"""Shorter runs say nothing of memory: caches still fill."""


def kinds(tenants: Sequence[objects.Tenant]) -> tuple[Kind, ...]:
    """What is asked. The first tenants have wide limits, the last two narrow ones."""
    wide, minute, few = tenants[0].key, tenants[-2].key, tenants[-1].key
    busy = range(36)
    return (
        Kind("plain", 10, 0.3, busy, wide),
        Kind("stream", 20, 0.2, busy, tenants[1].key, 40, 20, stream=True),
        Kind("burst", 2, 0.5, busy, wide, 200, stream=True),
        Kind("leaves a stream", 3, 0.5, busy, wide, 40, 20, stream=True, leaves=True),
        Kind("slow reader", 2, 3.0, busy, wide, 300, stream=True, slow=True),
        Kind("sleeper", 3, 0.5, SLEEPING, wide),
        Kind("limit of a minute", 1, 0.25, busy, minute, expected=(429,)),
        Kind("limit at a time", 4, 0.2, busy, few, 20, 20, stream=True, expected=(429,)),
        Kind("unknown model", 1, 0.5, busy, wide, model="no-such-model", expected=(404,)),
        Kind("wrong key", 1, 0.5, busy, "tf_wrong", expected=(401,)),
    )


LIMITS = {"requestsPerMinute": 60}, {"maxConcurrentRequests": 2}
"""Of the last two tenants."""


@dataclass
class Watched:
    """What was seen of the process."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds and bytes."""
    cpu_seconds: float = 0.0
    files_before: int = 0
    """Without connections to engines, which are kept for the next request."""
    files_after: int = 0
    engine_connections: int = 0
    idle_connections: int = 0
    """Those that the gateway knows of."""


async def soak(minutes: float, code: Path) -> dict[str, Any]:
    """Run, then account for everything."""
    tenants = objects.tenants(6)
    held = [(n, v) for n in (*EVERYWHERE, *CHANGING, *SLEEPING) for v in ((1, 2) if n in CHANGING else (1,))]
    places = [Place(address, list(held)) for address in ADDRESSES]
    places[-1].held += [(n, 1) for n in ALONE]
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(control_plane(ADDRESSES, [place.held for place in places]))
        _put_objects(plane.api, tenants)
        fleet = await stack.enter_async_context(running(Fleet(plane, places, CHANGING, SLEEPING)))
        place = folder("soak")
        (place / "audit.jsonl").unlink(missing_ok=True)
        gateway = await stack.enter_async_context(ours.gateway(plane, place, cores().others, code))
        traffic = Traffic(gateway.port, kinds(tenants))
        watched = await _run(gateway, fleet, traffic, minutes * 60)
        metrics = await gateway.admin("/metrics")
        await _written(gateway, len(traffic.sent))
    trail = [json.loads(line) for line in gateway.audit.read_text().splitlines()]
    return report(minutes, fleet, account(traffic.sent, trail, fleet.kills), watched, compare(metrics, trail))


def _put_objects(api: Any, tenants: Sequence[objects.Tenant]) -> None:
    for kind, obj in objects.fleet(40, tenants[:-2], ()):
        api.put(kind, obj)
    for number in CHANGING:
        api.put("LoRAAdapter", objects.adapter(number, 1, (1, 2)))
    for tenant, limits in zip(tenants[-2:], LIMITS, strict=True):
        api.put("Secret", objects.key_secret(tenant, limits))


async def _run(gateway: ours.Gateway, fleet: Fleet, traffic: Traffic, seconds: float) -> Watched:
    process, watched = gateway.process, Watched()
    watched.files_before = _files(process)
    ends = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(traffic.run())
        disturbing = group.create_task(fleet.disturb(TURN_SECONDS, lambda: time.monotonic() > ends))
        while time.monotonic() < ends:
            await asyncio.sleep(SAMPLE_SECONDS)
            watched.memory.append((time.monotonic(), process.rss_bytes()))
        await disturbing
        traffic.stopping = True
        await asking
    watched.cpu_seconds = process.cpu_seconds()
    await asyncio.sleep(SETTLE_SECONDS)
    watched.files_after = _files(process)
    watched.engine_connections = process.connections_to(ENGINE_PORT)
    watched.idle_connections = sum(pod["idleConnections"] for pod in (await gateway.table())["pods"].values())
    return watched


def _files(process: Running) -> int:
    return process.open_files() - process.connections_to(ENGINE_PORT)


async def _written(gateway: ours.Gateway, lines: int) -> None:
    """The audit trail is written about once a second."""

    async def whole() -> bool:
        return gateway.audit.exists() and gateway.audit.read_bytes().count(b"\n") >= lines

    try:
        await until(whole, "the last audit line", gateway.process, gateway.log, 5)
    except RuntimeError:  # clients that left before their request was read have none: the account says which
        return


def compare(metrics: str, trail: Sequence[Any]) -> dict[str, list[float]]:
    """Counts of the gateway's metrics and of its trail, which must be pairs of equals; and what must be zero."""
    sums: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            sums[sample.name] += sample.value
            if "code" in sample.labels:
                sums[sample.labels["code"]] += sample.value
    outcomes = Counter(line.get("outcome", "") for line in trail)
    pairs: dict[str, list[float]] = {
        code: [sums[code], outcomes[code]] for code in ("2xx", "5xx", "broken", "disconnected")
    }
    pairs["refused"] = [
        sums["tunefleet_gateway_refused_requests_total"],
        sum("refusal" in line for line in trail),
    ]
    zero = ("requests_in_flight", "held_requests", "client_connections", "audit_dropped_total")
    return pairs | {name: [sums[f"tunefleet_gateway_{name}"], 0] for name in zero}


def report(
    minutes: float, fleet: Fleet, found: Account, watched: Watched, compared: dict[str, list[float]]
) -> dict[str, Any]:
    """What is written to build/bench/soak.json; `failed` is empty when all is well."""
    memory = trend(watched.memory) if len(watched.memory) >= 10 else None
    return {
        "minutes": minutes,
        "failed": list(failures(minutes, found, watched, compared, memory)),
        "sent": sum(found.results.values()),
        "results": dict(found.results),
        "statuses": {str(status): number for status, number in sorted(found.statuses.items())},
        "kinds": dict(found.kinds),
        "done": fleet.done,
        "unexplained": found.unexplained[:20],
        "disagreeing": found.disagreeing[:20],
        "metrics_and_trail": compared,
        "memory": memory and asdict(memory),
        "files": [watched.files_before, watched.files_after],
        "engine_connections": [watched.engine_connections, watched.idle_connections],
        "cpu": watched.cpu_seconds / (minutes * 60),
        "samples_mb": [round(size / 1e6, 2) for _, size in watched.memory],
    }


def failures(
    minutes: float, found: Account, watched: Watched, compared: dict[str, list[float]], memory: Trend | None
) -> list[str]:
    """What does not hold, in words."""
    told = []
    if found.unexplained:
        told.append(f"{len(found.unexplained)} requests went wrong without a fault that accounts for it")
    if found.disagreeing:
        told.append(f"{len(found.disagreeing)} requests are told otherwise by the audit trail")
    told += [
        f"{name}: the metrics say {one:g}, the trail {two:g}" for name, (one, two) in compared.items() if one != two
    ]
    if watched.engine_connections != watched.idle_connections:
        told.append(f"{watched.engine_connections} connections to engines, {watched.idle_connections} known as idle")
    if watched.files_after > watched.files_before:
        told.append(f"{watched.files_after - watched.files_before} more files are open than before")
    if memory and minutes >= JUDGED_MINUTES and memory.last_mb - memory.first_mb > GROWTH_MB:
        told.append(f"memory grew from {memory.first_mb:.1f} to {memory.last_mb:.1f} MB")
    return told


@click.command(help=__doc__)
@click.option("--minutes", default=15.0, show_default=True, type=click.FloatRange(min=0.2))
@click.option("--code", type=click.Path(exists=True, path_type=Path), help="Import `tunefleet` from this directory.")
def main(minutes: float, code: Path | None) -> None:
    """Run, show, write."""
    console = Console()
    allow_many_files()
    with (
        reported(),
        alone(folder("soak") / "lock", "another soak runs"),
        step(f"{minutes:g} minutes of mixed requests"),
    ):
        figures = asyncio.run(soak(minutes, (code or ours.code()).absolute()))
    for name, value in figures.items():
        if name not in ("samples_mb", "failed"):
            console.print(f"{name.replace('_', ' '):20} {value}", markup=False)
    console.print(f"written: {write_figures('soak', figures)}")
    for failed in figures["failed"]:
        console.print(failed, style="red", markup=False)
    raise SystemExit(1 if figures["failed"] else 0)


if __name__ == "__main__":
    main()
