"""The two programs in C, the engine and the load: compiled once for a text, run as processes."""

import asyncio
import contextlib
import hashlib
import json
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dev import commands
from dev.bench.figures import OUTPUT

from .processes import Running, as_nice_as_this, in_real_time

SOURCES = Path(__file__).parent
BINARIES = OUTPUT / "bin"
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")


def program(name: str) -> Path:
    """NAME.c of this directory, compiled by cc unless it was before. Raises CommandError."""
    source = SOURCES / f"{name}.c"
    binary = BINARIES / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not binary.exists():
        BINARIES.mkdir(parents=True, exist_ok=True)
        commands.run(["cc", *FLAGS, "-o", binary, source])
    return binary


@dataclass(frozen=True)
class Outcome:
    """What came of a load. Times in seconds, from a request's start to its answer's last byte."""

    sent: int
    ok: int
    """2xx, and complete."""
    refused: int
    """Another status, and complete."""
    broken: int
    """Broke off after it had begun."""
    unanswered: int
    """The connection ended before an answer, or there was none at the end."""
    events: int
    """Server-sent events, [DONE] included."""
    reconnects: int
    seconds: float
    p50: float
    p99: float
    longest: float

    @property
    def faults(self) -> int:
        """Requests without a complete 2xx answer."""
        return self.sent - self.ok


@dataclass(frozen=True)
class Load:
    """Requests to send, and how. See load.c."""

    requests: Path
    connections: int
    rate: float = 0.0
    """A second, evenly spaced; 0: as fast as answers come."""
    fresh_ids: bool = False
    """Another x-request-id in each request."""

    def words(self, port: int, seconds: float, address: str) -> list[str]:
        """The command."""
        numbers = (self.connections, seconds, self.rate, int(self.fresh_ids))
        return [str(program("load")), address, str(port), str(self.requests), *map(str, numbers)]


async def send(load: Load, port: int, seconds: float, on: Iterable[int], address: str = "127.0.0.1") -> Outcome:
    """Send it for so long, from these cores; with a rate in real time, where it may.

    Raises RuntimeError when the load could not connect.
    """
    process = await _start(load.words(port, seconds, address), on)
    with in_real_time(*([Running(process.pid)] if load.rate else [])):
        said, error = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load failed: {error.decode().strip()}")
    return Outcome(**json.loads(said))


@asynccontextmanager
async def held_open(load: Load, port: int, on: Iterable[int], limit: float = 120.0) -> AsyncIterator[None]:
    """One request on each connection; the block runs while all of them stay open. Raises TimeoutError."""
    process = await _start(load.words(port, 0, "127.0.0.1"), on)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), limit)
        if line.strip() != b"ready":
            raise RuntimeError(f"the load failed: {(await process.communicate())[1].decode().strip()}")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _start(words: list[str], on: Iterable[int]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    pinned = ("taskset", "-c", ",".join(map(str, on)), *words)
    process = await asyncio.create_subprocess_exec(
        *pinned, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    as_nice_as_this(process.pid)
    return process


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """The file that load.c reads."""
    path.write_bytes(b"".join(struct.pack("<I", len(request)) + request for request in requests))
    return path
