"""Percentiles, and where figures go."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "bench"


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest-rank percentile: a value that was really measured. Raises ValueError without values."""
    if not values:
        raise ValueError("no values were measured")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def write_figures(name: str, figures: Mapping[str, Any], output: Path = OUTPUT) -> Path:
    """Write build/bench/NAME.json."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{name}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    return path
