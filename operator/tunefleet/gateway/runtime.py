"""What the process runs on: uvloop, and modules that were compiled when the package was built that way (setup.py)."""

import asyncio
import ctypes
import gc
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any

import uvloop

from . import exchange

_YOUNG = 10_000
"""Objects made, less those that went, between two looks for cycles; Python's 700 is a look every 20 requests."""


def compiled() -> bool:
    """Whether the hot path is machine code."""
    return not exchange.__file__.endswith(".py")


def describe() -> str:
    """For the log and for --version."""
    how = "compiled" if compiled() else "interpreted"
    return f"tunefleet-gateway {version('tunefleet')}, {how}, uvloop {version('uvloop')}"


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Until it ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


def settle() -> None:
    """Call once what stays has been made: modules and the first table are not looked through for garbage again."""
    gc.collect()
    _give_back()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)


def _give_back() -> None:
    """To the system, what reading thousands of objects took for a moment: glibc keeps it, musl has no such call."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
