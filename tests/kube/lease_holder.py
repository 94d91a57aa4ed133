"""A process that acts while it holds the Lease: each act is a line `IDENTITY MONOTONIC-SECONDS` in a file.

Usage: python -m tests.kube.lease_holder NAMESPACE IDENTITY SECONDS FILE; SIGTERM releases.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

from tunefleet.kube.client import Client
from tunefleet.kube.lease import Lease


async def main(namespace: str, identity: str, seconds: float, path: Path) -> None:
    """Acquire, act, release."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await Client.connect() as client:
        lease = Lease(client, namespace, "tests", identity, seconds=seconds)
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        while not stop.is_set() and not holding.done():
            if lease.remaining() > 0:
                with path.open("a") as file:
                    file.write(f"{identity} {time.monotonic()}\n")
            await asyncio.sleep(0.01)
        if holding.done():
            holding.result()
        holding.cancel()
        await lease.release()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4])))
