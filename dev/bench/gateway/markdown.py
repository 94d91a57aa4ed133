"""`python -m dev.bench.gateway.markdown`: the tables of the README, out of what the last runs wrote to build/bench/."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dev.bench.figures import OUTPUT

from .cases import CASES
from .contenders import OURS
from .measure import IDLE
from .report import MB

COLUMNS = (
    ("CPU µs a request", "request_cpu_us", "request_cpu_ratio", 1.0),
    ("at 5,000 requests/s", "request_cpu_us_even", "request_cpu_ratio_even", 1.0),
    ("CPU µs an event", "event_cpu_us", "event_cpu_ratio", 1.0),
    ("p99 added, ms", "p99_added_seconds", "p99_added_ratio", 1e3),
)


def costs(figures: Mapping[str, Any]) -> Iterable[list[str]]:
    """Medians; behind each, what ours is of it."""
    memory = {one["name"]: one for one in figures["memory"]}
    yield ["", *(title for title, *_ in COLUMNS), "MB", "MB with 10,000 idle connections"]
    for name, used in memory.items():
        idle = f"{used['idle'] / MB:.0f}" if used["connections"] == IDLE else ""
        cells = [_cell(figures, name, *column[1:]) for column in COLUMNS]
        yield [f"**{name}**" if name == OURS else name, *cells, f"{used['after_load'] / MB:.0f}", idle]


def _cell(figures: Mapping[str, Any], name: str, values: str, ratios: str, scale: float) -> str:
    if name not in figures[values]:
        return ""
    middle = figures[values][name]["median"] * scale
    text = f"{middle:,.0f}" if middle >= 10 else f"{middle:.2g}"
    return text if name == OURS else f"{text} ({figures[ratios][name]:.2g} x)"


def failures(seen: Mapping[str, Any]) -> Iterable[list[str]]:
    """Proxies across, cases down."""
    yield ["", *(f"**{name}**" if name == OURS else name for name in seen)]
    for case in CASES:
        yield [case.name, *(case.tell(found[case.name]) for found in seen.values())]


def table(rows: Iterable[list[str]]) -> str:
    """GitHub's form."""
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *rest])


def main() -> None:
    """Print both."""
    print(table(costs(json.loads((OUTPUT / "gateway.json").read_text()))))
    print()
    print(table(failures(json.loads((OUTPUT / "gateway-failures.json").read_text())["seen"])))


if __name__ == "__main__":
    main()
