"""What routing costs, and what its choice of pods is worth: `python -m dev.bench.routing`. Needs no cluster.

With PYTHONPATH=build/compiled the compiled modules are measured.
"""

import gc
import heapq
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from tunefleet.api.names import engine_name
from tunefleet.gateway import balancer
from tunefleet.gateway.balancer import Balancer, Lane, pick
from tunefleet.gateway.health import Health
from tunefleet.gateway.observed import adapter_of, base_of, endpoint_of
from tunefleet.gateway.pods import Pod
from tunefleet.gateway.prefix import point_of_prefix
from tunefleet.gateway.series import Series
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import EnginePod, Holdings, RouteTable
from tunefleet.plan.routed import Routed
from tunefleet.plan.routing import build_table

from .figures import write_figures

MODELS, PODS, SLOTS = 2000, 50, 80
META = {"namespace": "ml", "creationTimestamp": "2026-11-21T12:00:00Z"}

Pick = Callable[[Sequence[Pod], int], Pod | None]


def digest(number: int) -> str:
    """Of some files."""
    return f"sha256:{number:064x}"


def status(number: int) -> dict[str, Any]:
    """Of an object whose only version was accepted."""
    return {"versions": [{"version": 1, "digest": digest(number), "accepted": True}]}


def traffic(name: str, number: int) -> dict[str, Any]:
    """All of it to the only version."""
    return {"traffic": [{"version": 1, "engineName": engine_name(name, 1, digest(number)), "weight": 100}]}


def adapter(number: int) -> Routed:
    """As the API server sends it."""
    name = f"adapter-{number}"
    version = {"version": 1, "baseModelVersion": 1, "source": {"uri": f"s3://adapters/{name}"}}
    spec = {"baseModelRef": {"name": "tiny"}, "activeVersion": 1, "versions": [version]}
    meta = {**META, "name": name, "labels": {"team": f"team-{number % 20}"}}
    return adapter_of({"metadata": meta, "spec": spec, "status": status(number) | traffic(name, number)})


def fleet() -> tuple[list[Routed], Callable[[list[Routed]], RouteTable]]:
    """MODELS adapters, each on PODS * SLOTS / MODELS pods, and how their table is built."""
    base_name = engine_name("tiny", 1, digest(0))
    versions = [{"version": 1, "source": {"uri": "s3://bases/tiny"}}]
    base = base_of({"metadata": {**META, "name": "tiny"}, "spec": {"versions": versions}, "status": status(0)})
    revision = {"name": "r", "baseModelVersion": 1, "engineName": base_name, "state": "Serving", "since": "t"}
    spec = {"model": {"name": "tiny", "version": 1}}
    meta = {**META, "name": "e"}
    endpoint = endpoint_of({"metadata": meta, "spec": spec, "status": {"revisions": [revision]}})
    pods = [EnginePod(Key("ml", f"engine-{n}"), f"10.0.0.{n + 1}", "e", "r", "tiny") for n in range(PODS)]
    reports = {}
    for place, pod in enumerate(pods):
        held = [1 + (place * SLOTS + slot) % MODELS for slot in range(SLOTS)]
        loaded = {engine_name(f"adapter-{n}", 1, digest(n)): digest(n) for n in held}
        reports[pod.key] = Holdings(base_name, True, loaded)
    adapters = [adapter(n) for n in range(1, MODELS + 1)]
    return adapters, lambda models: build_table(models, [base], [endpoint], pods, reports)


def resident() -> float:
    """MB of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def best(work: Callable[[], object], times: int, repeat: int = 5) -> float:
    """Seconds of CPU for one call, of the best of several rounds."""
    found = []
    for _ in range(repeat):
        started = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - started) / times)
    return min(found)


def tables() -> dict[str, float]:
    """What MODELS models cost."""
    before = resident()
    adapters, build = fleet()
    objects = resident()
    table = build(adapters)
    built = resident()
    mine = Balancer(lambda _: b"", lambda name: Series(name, ""), {})
    targets = [target for route in table.routes.values() for target in route.targets]
    swap = best(lambda: mine.follow(table), 20)
    started = time.process_time()
    for target in targets:
        mine.lane(target)
    lanes = time.process_time() - started
    return {
        "objects_mb": objects - before,
        "table_mb": built - objects,
        "build_ms": 1e3 * best(lambda: build(adapters), 1),
        "swap_ms": 1e3 * swap,
        "lanes_ms": 1e3 * lanes,
        "lanes_mb": resident() - built,
    }


def made(count: int) -> tuple[Pod, ...]:
    """Pods without a request."""
    return tuple(Pod(Key("ml", f"engine-{n}"), "10.0.0.1", 8000, Health({})) for n in range(count))


def choices() -> dict[str, float]:
    """Nanoseconds a choice."""
    found = {}
    for count in (1, 2, 4, 10, 50):
        lane = Lane("x@v1-00000000", Series("x", "v1"), made(count))
        found[f"choose_{count}_ns"] = 1e9 * best(lambda lane=lane: lane.choose(99, 0.0), 20_000)  # type: ignore[misc]
    body = b'{"model":"support-de","messages":[{"role":"system","content":"' + b"You are helpful. " * 60 + b'"}]}'
    return found | {"prefix_ns": 1e9 * best(lambda: point_of_prefix(body, "support-de@v4-1f3a9c2e"), 20_000)}


# --- what the choice is worth: conversations, each of which has a prefix, and pods that remember some prefixes

CONVERSATIONS, REMEMBERED, REQUESTS = 2000, 400, 60_000


def least_busy(pods: Sequence[Pod], _point: int) -> Pod:
    """The fewest in flight; ties by chance."""
    return min(pods, key=lambda pod: (pod.in_flight, random.random()))  # noqa: S311


def two_choices(pods: Sequence[Pod], _point: int) -> Pod:
    """The less busy of any two."""
    return min(random.sample(pods, 2), key=lambda pod: pod.in_flight)


def unbounded(pods: Sequence[Pod], point: int) -> Pod:
    """The highest score, whatever its load."""
    return max(pods, key=lambda pod: (pod.factor * point + pod.shift) % (2**31 - 1))


def next_score(pods: Sequence[Pod], point: int) -> Pod:
    """The highest score below the bound, as on a ring."""
    total = sum(pod.in_flight for pod in pods) + 1
    return unbounded([pod for pod in pods if 4 * len(pods) * pod.in_flight < 5 * total], point)


def simulate(choose: Pick, load: int, skew: float, count: int = 8) -> tuple[float, float]:
    """Share of requests that meet their prefix, and the busiest pod by the average, both over time.

    `load`: requests in flight, all pods together; `skew`: conversations by Zipf's law with this exponent.
    """
    random.seed(1)
    pods = made(count)
    weights = [1 / (n + 1) ** skew for n in range(CONVERSATIONS)]
    asked = deque(random.choices(range(CONVERSATIONS), weights, k=REQUESTS))  # noqa: S311
    memory: dict[Key, OrderedDict[int, None]] = {pod.key: OrderedDict() for pod in pods}
    running: list[tuple[float, int, Pod]] = []
    hits, excess, now = 0, 0.0, 0.0
    while asked:
        if len(running) == load:
            now, _, done = heapq.heappop(running)
            done.in_flight -= 1
        conversation = asked.popleft()
        pod = choose(pods, crc32(b"conversation %d" % conversation))
        assert pod is not None
        pod.in_flight += 1
        heapq.heappush(running, (now + random.expovariate(1), len(asked), pod))
        known = memory[pod.key]
        hits += conversation in known
        known[conversation] = None
        known.move_to_end(conversation)
        if len(known) > REMEMBERED:
            known.popitem(last=False)
        excess += max(pod.in_flight for pod in pods) * count / len(running)
    return hits / REQUESTS, excess / REQUESTS


RULES: dict[str, Pick] = {
    "least busy": least_busy,
    "best of two": two_choices,
    "hash alone": unbounded,
    "bound, then next": next_score,
    "bound, then least busy": pick,
}


def main() -> None:
    """Print the tables of docs/design/routing.md."""
    costs = tables() | choices()
    print(f"balancer: {Path(str(balancer.__file__)).name}")
    for name, value in costs.items():
        print(f"| {name} | {value:.3g} |")
    print("\n| rule | load 16, even | load 16, skewed | load 200, even | load 200, skewed |\n|---|---|---|---|---|")
    worth = {}
    for name, choose in RULES.items():
        found = [simulate(choose, load, skew) for load in (16, 200) for skew in (0.0, 1.0)]
        worth[name] = found
        print(f"| {name} | {' | '.join(f'{100 * hits:.0f} %, {excess:.2f}' for hits, excess in found)} |")
    print(f"written: {write_figures('routing', {'costs': costs, 'worth': worth})}")


if __name__ == "__main__":
    main()
