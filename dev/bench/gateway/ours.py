"""Our gateway as the process that users run, in front of a fleet of the benchmark."""

import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from dev import commands

from .control_plane import ControlPlane
from .objects import SYSTEM_NAMESPACE
from .processes import Command, Running, free_port, running, until

ROOT = Path(__file__).resolve().parents[3]
COMPILED = ROOT / "build" / "compiled"
SOURCE = ROOT / "operator"


def code() -> Path:
    """Where `tunefleet` is imported from: the compiled form when `make compiled` has made it."""
    return COMPILED if (COMPILED / "built").exists() else SOURCE


PROGRAM = Path(sys.executable).with_name("tunefleet-gateway")


def environment(path: Path) -> dict[str, str]:
    """What makes the program take its code from there."""
    return {"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}


def version(path: Path) -> str:
    """As the program says it: with whether it is compiled."""
    return commands.run([PROGRAM, "--version"], env=environment(path)).strip()


@dataclass(frozen=True)
class Gateway:
    """A gateway that takes requests."""

    process: Running
    port: int
    admin_port: int
    audit: Path
    """Its audit lines."""
    log: Path

    async def admin(self, path: str) -> str:
        """What the admin port says. Raises aiohttp.ClientError."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url, raise_for_status=True) as answer:
            return await answer.text()

    async def table(self) -> Any:
        """The route table as JSON."""
        url = f"http://127.0.0.1:{self.admin_port}/table"
        async with aiohttp.ClientSession() as session, session.get(url, raise_for_status=True) as answer:
            return await answer.json()


@asynccontextmanager
async def gateway(
    plane: ControlPlane, folder: Path, on: Sequence[int], path: Path, more: Iterable[str] = ()
) -> AsyncIterator[Gateway]:
    """The process with every feature on, ready; `path` is where its code lies, `folder` is for its files."""
    fleet_key = folder / "fleet-key"
    fleet_key.write_bytes(b"fleet key of the benchmark")
    port, admin_port, audit, log = free_port(), free_port(), folder / "audit.jsonl", folder / "gateway.log"
    command = Command.of(
        *(sys.executable, "-m", "dev.bench.gateway.in_pod", plane.url, "--auth", "keys"),
        *("--keys-namespace", SYSTEM_NAMESPACE, "--audit", audit),
        *("--host", "127.0.0.1", "--port", str(port), "--admin-port", str(admin_port)),
        *("--fleet-key-file", fleet_key),
        *("--max-connections", "12000", *more),
        **environment(path),
    )
    async with running(command, log, on) as process:
        made = Gateway(process, port, admin_port, audit, log)

        async def ready() -> bool:
            return await made.admin("/readyz") == "ok\n"

        await until(ready, "the gateway's readiness", process, log)
        yield made
