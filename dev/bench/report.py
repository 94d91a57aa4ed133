"""The bench's table for people and its keys for machines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from dev.demo.load import Answer

from .figures import percentile
from .measured import Measured
from .recovery import Recovery


def figures_of(measured: Measured) -> dict[str, Any]:
    """What is written to build/bench/swap.json. Seconds throughout; see docs/design/faults.md for the terms."""
    back = [c.seconds for c in measured.changes if c.version == "german@v1"]
    up = [c.seconds for c in measured.changes if c.version == "german@v2"]
    verdict = measured.verdict(measured.changing).as_dict()
    new = [*measured.applied_idle, *measured.applied]
    return {
        "promotions": len(up),
        "rollbacks": len(back),
        "rollback_seconds": percentiles(back),
        "promote_seconds": percentiles(up),
        "apply_seconds": percentiles([a.seconds for a in measured.applied]),
        "apply_idle_seconds": percentiles([a.seconds for a in measured.applied_idle]),
        "apply_wrong": sum(a.wrong for a in new),
        "recovery_seconds": recovery_seconds(measured.recoveries, 1),
        "recovery_two_replicas_seconds": recovery_seconds(measured.recoveries, 2),
        "bare_start_seconds": bare_starts(measured.recoveries, 1),
        **verdict,
        "one_replica": measured.verdict(measured.one_replica).as_dict(),
        "two_replicas": measured.verdict(measured.two_replicas).as_dict(),
        "errors": errors([*measured.changing, *measured.one_replica, *measured.two_replicas]),
        "logprob_noise_nats": measured.noise,
        "recoveries": [asdict(recovery) for recovery in measured.recoveries],
    }


def errors(answers: Sequence[Answer]) -> dict[str, int]:
    """What failed and broken answers said, and how often; ids in it would make every one another."""
    return dict(Counter(answer.error[:120] for answer in answers if answer.error).most_common(10))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and the longest; nearest rank, so each was really measured."""
    return {"p50": percentile(seconds, 50), "p99": percentile(seconds, 99), "max": max(seconds)}


def recovery_seconds(recoveries: Sequence[Recovery], replicas: int) -> dict[str, float]:
    """The longest, by victim."""
    kept = [r for r in recoveries if r.replicas == replicas]
    return {victim: max(r.seconds for r in kept if r.victim == victim) for victim in ("pod", "engine")}


def bare_starts(recoveries: Sequence[Recovery], replicas: int) -> dict[str, float]:
    """The engine's own start in the recovery that took longest, by victim."""
    slowest = [
        max((r for r in recoveries if (r.replicas, r.victim) == (replicas, victim)), key=lambda r: r.seconds)
        for victim in ("pod", "engine")
    ]
    return {recovery.victim: recovery.bare_start_seconds for recovery in slowest}


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print a table."""
    table = Table(title="Versions that change, adapters that come, engines that die", title_justify="left")
    table.add_column()
    table.add_column("figures", justify="right")
    for name, value in figures.items():
        if name != "recoveries":
            table.add_row(name.replace("_", " "), _text(value))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_text(part)}" for name, part in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
