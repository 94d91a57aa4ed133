"""One text for one JSON value, whatever order its keys came in."""

import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces. Raises TypeError for what JSON does not know."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
