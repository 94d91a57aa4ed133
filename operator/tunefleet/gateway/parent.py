"""The parent of several workers: the order in which things start and stop."""

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .admin import serve_admin
from .listeners import bind
from .worker_admin import WorkerAdmin
from .workers import Workers

log = logging.getLogger(__name__)

_START = "from tunefleet.gateway.main import main; main(prog_name='tunefleet-gateway')"


def command(arguments: Sequence[str]) -> tuple[str, ...]:
    """Starts a gateway with these arguments, by the interpreter that runs this one."""
    return (sys.executable, "-c", _START, *arguments)


async def run_workers(
    count: int, arguments: Sequence[str], address: tuple[str, int], admin: tuple[str, int], drain_seconds: float
) -> None:
    """Keep `count` workers running until SIGTERM or SIGINT, then let them drain.

    `arguments` are those of the command line. Raises OSError when a port is taken, and NeverAnsweredError in an
    ExceptionGroup.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    held = await bind(*address, share=True)
    port = str(held[0].getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as directory:
        workers = Workers(count, command((*arguments, "--port", port)), Path(directory))
        async with WorkerAdmin(workers) as answers:
            runner = await serve_admin(answers.app(), *admin)
            try:
                await _until(stop, workers, drain_seconds)
            finally:
                await runner.cleanup()
                for listening in held:
                    listening.close()


async def _until(stop: asyncio.Event, workers: Workers, drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    running, asked = loop.create_task(workers.run()), loop.create_task(stop.wait())
    try:
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        log.info("draining for at most %g seconds", drain_seconds)
        asked.cancel()
        running.cancel()
        await asyncio.gather(running, asked, return_exceptions=True)
        await workers.end(drain_seconds)
