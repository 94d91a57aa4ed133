"""Compiles the gateway's hot path when TUNEFLEET_COMPILE=1; everything else stands in pyproject.toml.

mypyc makes C of plain typed Python: the same modules run interpreted wherever they were not compiled, and the tests of
the gateway run both ways (`make unit`, `make unit-compiled`). What is compiled is what runs for each request or each
event, and the classes that these share.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

GATEWAY = Path("operator/tunefleet/gateway")
HOT = (
    "access",
    "admission",
    "audit",
    "balancer",
    "breaker",
    "chunk_scanner",
    "chunked",
    "conclusion",
    "connection",
    "connections",
    "course",
    "deadly_fields",
    "early_answer",
    "engines",
    "exchange",
    "head_cache",
    "header_lines",
    "health",
    "limits",
    "model_field",
    "place",
    "pods",
    "prefix",
    "record",
    "reply",
    "request_head",
    "request_ids",
    "request_reader",
    "response_head",
    "response_reader",
    "routes",
    "series",
    "splice",
    "state",
    "telemetry",
    "trials",
    "usage",
)


def hot_modules() -> list[Extension]:
    """The extensions to build; none unless they were asked for."""
    if os.environ.get("TUNEFLEET_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    options = ["--config-file=", "--strict", "--ignore-missing-imports", "--follow-imports=silent"]
    paths = [str(GATEWAY / f"{name}.py") for name in HOT]
    modules: list[Extension] = mypycify(
        [*options, *paths], opt_level="2", debug_level="0", group_name="tunefleet_gateway"
    )
    return modules


setup(ext_modules=hot_modules())
