"""What commands print: columns for people, JSON and YAML for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, three spaces apart, as kubectl's."""
    lines = [[name.upper() for name in header], *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def rendered(value: Sequence[Mapping[str, Any]], form: str) -> str:
    """As JSON or YAML."""
    if form == "json":
        return json.dumps(list(value), indent=2)
    return yaml.safe_dump([dict(one) for one in value], sort_keys=False).rstrip()
