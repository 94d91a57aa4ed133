"""The benchmark's tables for people and its keys for machines."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from .contenders import OURS, Field
from .measure import DIRECT, EVEN, FRESH, Latency, Memory, Sample

REQUESTS = ("c32", "c128")
EVENTS = "paced"
MB = 1e6

Spread = dict[str, float]


def figures_of(
    field: Field, samples: Sequence[Sample], latencies: Sequence[Latency], memory: Sequence[Memory]
) -> dict[str, Any]:
    """What is written to build/bench/gateway.json. Ratios: ours divided by theirs, of the medians."""
    names = list(dict.fromkeys(sample.name for sample in samples))
    requests = {name: spread(micros(samples, name, REQUESTS)) for name in names}
    events = {name: spread(found) for name in names if (found := micros(samples, name, (EVENTS,)))}
    even = {name: spread(found) for name in names if (found := micros(samples, name, (EVEN,)))}
    added = added_p99(latencies)
    ours = next((one for one in memory if one.name == OURS), None)
    return {
        "request_cpu_ratio": ratios(requests),
        "event_cpu_ratio": ratios(events),
        "p99_added_ratio": ratios(added),
        "rss_mb": ours and ours.after_load / MB,
        "idle_connections_mb": ours and ours.idle / MB,
        "request_cpu_ratio_even": ratios(even),
        "request_cpu_us": requests,
        "request_cpu_us_even": even,
        "event_cpu_us": events,
        "event_cpu_unpaced_us": {n: spread(found) for n in names if (found := micros(samples, n, ("unpaced",)))},
        "request_cpu_us_by_connections": {
            point: {name: spread(micros(samples, name, (point,))) for name in names} for point in ("c1", *REQUESTS)
        },
        "p99_added_seconds": added,
        "p99_seconds": p99s(latencies),
        "faults": faults(samples, latencies),
        "memory": [asdict(one) for one in memory],
        "versions": {one.name: one.version for one in field.contenders},
        "left_out": field.absent,
        "cores": asdict(field.cores),
        "machine": {
            "kernel": platform.release(),
            "python": platform.python_version(),
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
            "load_average": os.getloadavg(),
        },
        "samples": [asdict(one) | {"micros": one.micros} for one in samples],
    }


def micros(samples: Sequence[Sample], name: str, points: Sequence[str]) -> list[float]:
    """CPU microseconds of one contender at these points."""
    return [one.micros for one in samples if one.name == name and one.point in points]


def spread(values: Sequence[float]) -> Spread:
    """Of what was measured."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def ratios(spreads: Mapping[str, Spread]) -> dict[str, float]:
    """Of our median to that of each of the others."""
    if OURS not in spreads:
        return {}
    mine = spreads[OURS]["median"]
    return {name: mine / one["median"] for name, one in spreads.items() if name not in (OURS, FRESH)}


def added_p99(latencies: Sequence[Latency]) -> dict[str, Spread]:
    """Seconds that each contender adds to the engine's own p99, of which the median counts."""
    direct = median([one.outcome.p99 for one in latencies if one.name == DIRECT])
    names = dict.fromkeys(one.name for one in latencies if one.name != DIRECT)
    return {name: spread([one.outcome.p99 - direct for one in latencies if one.name == name]) for name in names}


def p99s(latencies: Sequence[Latency]) -> dict[str, Spread]:
    """Seconds, as clients see it."""
    names = dict.fromkeys(one.name for one in latencies)
    return {name: spread([one.outcome.p99 for one in latencies if one.name == name]) for name in names}


def faults(samples: Sequence[Sample], latencies: Sequence[Latency]) -> dict[str, int]:
    """Requests without a complete 2xx answer, and streams that lack events count as one each sample, by contender."""
    found: dict[str, int] = {}
    for one in samples:
        found[one.name] = found.get(one.name, 0) + (one.outcome.faults or int(not one.whole))
    for late in latencies:
        found[late.name] = found.get(late.name, 0) + late.outcome.faults
    return found


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    for name, version in figures["versions"].items():
        console.print(f"{name}: {version}", highlight=False)
    console.print(_table("CPU time a request, µs", figures, "request_cpu_us", "request_cpu_ratio", 1.0))
    console.print(
        _table(
            "CPU time a request at 5,000 a second, µs", figures, "request_cpu_us_even", "request_cpu_ratio_even", 1.0
        )
    )
    console.print(_table("CPU time a server-sent event, µs", figures, "event_cpu_us", "event_cpu_ratio", 1.0))
    console.print(_table("p99 added at 1,000 requests/s, ms", figures, "p99_added_seconds", "p99_added_ratio", 1e3))
    memory = Table("", "MB after the load", "MB", "idle connections", title="Memory", title_justify="left")
    for one in figures["memory"]:
        memory.add_row(one["name"], f"{one['after_load'] / MB:.0f}", f"{one['idle'] / MB:.0f}", str(one["connections"]))
    console.print(memory)
    for name, number in figures["faults"].items():
        if number:
            console.print(f"[red]{name}: {number} requests without a complete 2xx answer[/]")
    for name, why in figures["left_out"].items():
        console.print(f"left out: {name}: {why}", markup=False)


def _table(title: str, figures: Mapping[str, Any], values: str, ratio: str, scale: float) -> Table:
    table = Table("", title=title, title_justify="left")
    for column in ("median", "least", "most", "ours is"):
        table.add_column(column, justify="right")
    for name, one in figures[values].items():
        cells = (f"{one[key] * scale:.{2 if scale > 1 else 1}f}" for key in ("median", "min", "max"))
        share = figures[ratio].get(name)
        table.add_row(name, *cells, "" if share is None else f"x {share:.3g}")
    return table
