"""Processes under measurement: started on chosen cores, their CPU time and memory read from the kernel."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from dev.bench.figures import OUTPUT

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
START_SECONDS = 90.0
STOP_SECONDS = 10.0
FIRST = -15
"""Niceness of everything that is measured, where it may have one: neighbours then disturb less."""
FILES = 70_000
"""haproxy wants two for each of 30,000 connections."""


@dataclass(frozen=True)
class Cores:
    """Where what runs. With two cores the load and the engine share one, and what is measured has the other."""

    measured: int
    others: tuple[int, ...]


def cores() -> Cores:
    """Of this machine. Raises RuntimeError when there is but one."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        raise RuntimeError("two cores are needed: one for what is measured, one for its load")
    return Cores(mine[-1], tuple(mine[:-1]))


def allow_many_files() -> None:
    """FILES open files for this process and those that it starts; as many as it may have where it is not root."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def go_first(niceness: int = FIRST) -> int:
    """This process and those that it starts run before the machine's others, where it may; gives its niceness."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    return os.getpriority(os.PRIO_PROCESS, 0)


def as_nice_as_this(pid: int) -> None:
    """Give a process with a session of its own this one's niceness: the scheduler's groups of sessions have one too."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))


@dataclass(frozen=True)
class Running:
    """A process and its children."""

    pid: int

    def tree(self) -> tuple[int, ...]:
        """Its number and those of all its descendants."""
        found = [self.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (task / "children").read_text().split())
        return tuple(found)

    def schedule(self, policy: int) -> None:
        """All its threads by this policy of the scheduler, SCHED_RR or SCHED_OTHER, where they may be."""
        for pid in self.tree():
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setscheduler(int(task.name), policy, os.sched_param(int(policy == os.SCHED_RR)))

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far, by the kernel's nanosecond clocks of processes."""
        total = 0.0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                total += time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a pid
        return total

    def rss_bytes(self) -> int:
        """Resident memory of the tree; pages that its processes share count for each."""
        total = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
        return total

    @property
    def alive(self) -> bool:
        """It has not ended."""
        return Path(f"/proc/{self.pid}").exists()

    def open_files(self) -> int:
        """File descriptors of the process itself."""
        return len(self._descriptors())

    def connections_to(self, port: int) -> int:
        """TCP connections (IPv4) of the process itself to this port, wherever."""
        mine = set(self._descriptors())
        rows = [line.split() for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]]
        return sum(f"socket:[{row[9]}]" in mine and int(row[2].split(":")[1], 16) == port for row in rows)

    def _descriptors(self) -> list[str]:
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append(str(link.readlink()))
        return found


@contextlib.contextmanager
def in_real_time(*processes: Running) -> Iterator[None]:
    """During the block they run before whatever is not, where they may: for loads that leave the cores mostly idle."""
    for process in processes:
        process.schedule(os.SCHED_RR)
    try:
        yield
    finally:
        for process in processes:
            process.schedule(os.SCHED_OTHER)


@dataclass(frozen=True)
class Command:
    """What to start."""

    words: tuple[str | Path, ...]
    env: Mapping[str, str]
    """Added to this process's environment."""

    @classmethod
    def of(cls, *words: str | Path, **env: str) -> "Command":
        """From words and variables."""
        return cls(words, env)


@asynccontextmanager
async def running(command: Command, log: Path, on: Sequence[int]) -> AsyncIterator[Running]:
    """Run the command on these cores until the block ends; what it says goes to `log`."""
    pinned = ["taskset", "-c", ",".join(map(str, on)), *map(str, command.words)]
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *pinned,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, **command.env},
            start_new_session=True,
        )
        as_nice_as_this(process.pid)
        try:
            yield Running(process.pid)
        finally:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask, wait, then kill the whole group: some leave their workers behind."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def until(
    check: Callable[[], Awaitable[bool]], what: str, process: Running, log: Path, seconds: float = START_SECONDS
) -> None:
    """Ask until it holds; a refused connection says no.

    Raises RuntimeError with the log's end when it never does, or when the process has ended.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while process.alive:
                if await _holds(check):
                    return
                await asyncio.sleep(0.1)
    raise RuntimeError(f"{what} did not happen within {seconds:g} s; {log} ends with:\n{_end(log)}")


def _end(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


async def _holds(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await check()
    except (OSError, aiohttp.ClientError):
        return False


def folder(name: str) -> Path:
    """build/bench/NAME, made when it is not there."""
    return subfolder(OUTPUT, name)


def subfolder(parent: Path, name: str) -> Path:
    """A folder in another, made when it is not there."""
    made = parent / name.replace(" ", "-")
    made.mkdir(parents=True, exist_ok=True)
    return made


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
