"""The gateway's tests run on asyncio as it is, and compiled on uvloop, as images run it (`make unit-compiled`)."""

import asyncio
import os
from collections.abc import Callable, Mapping

import uvloop

COMPILED = os.environ.get("TUNEFLEET_COMPILED") == "1"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop} if COMPILED else {"asyncio": asyncio.new_event_loop}
