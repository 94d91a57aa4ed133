"""A cluster's own network, mount and process namespaces, and the processes in them.

Two kube-proxies in one network namespace would fight over one nftables table, and two kubelets over /var/lib/kubelet;
in namespaces of their own neither knows of the other, every component keeps its default ports and paths, and the end
of the namespaces' first process is the end of everything in them, done by the kernel.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dev import commands
from dev.cluster import init
from dev.settings import Settings

STOP_SECONDS = 20.0


class MachineError(RuntimeError):
    """The namespaces or a process in them could not be brought up or down."""


@dataclass(frozen=True)
class Holder:
    """The namespaces' first process. Its start time tells it from a later process that was given the same number."""

    number: int
    start_ticks: int


def holder(settings: Settings) -> Holder | None:
    """The running first process, or None."""
    record = settings.run / "holder.json"
    if not record.exists():
        return None
    found = Holder(**json.loads(record.read_text()))
    return found if _start_ticks(Path(f"/proc/{found.number}")) == found.start_ticks else None


def start(settings: Settings) -> Holder:
    """Create the namespaces, with this cluster's directories in the places where its components look by default."""
    settings.run.mkdir(parents=True, exist_ok=True)
    ready = settings.run / "holder"
    ready.unlink(missing_ok=True)
    log = settings.logs / "init.log"
    _detached(
        log,
        [
            *("unshare", "--fork", "--pid", "--net", "--mount", "--propagation", "slave"),
            *(sys.executable, "-I", init.__file__, ready),
            *(f"{source}:{target}" for source, target in _binds(settings).items()),
        ],
    )
    number = int(_first_word(ready, log))
    ticks = _start_ticks(Path(f"/proc/{number}"))
    assert ticks is not None
    started = Holder(number, ticks)
    (settings.run / "holder.json").write_text(json.dumps(asdict(started)))
    return started


def stop(settings: Settings) -> None:
    """End every process of the cluster at once, and wait until the last one is gone."""
    found = holder(settings)
    if found is None:
        return
    os.kill(found.number, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while holder(settings) is not None:
        if time.monotonic() > deadline:
            raise MachineError(f"process {found.number} does not end; a process of the cluster hangs in the kernel")
        time.sleep(0.02)


def enter(settings: Settings) -> list[str]:
    """The command that runs what follows it within the namespaces."""
    found = holder(settings)
    if found is None:
        raise MachineError(f"cluster {settings.name} is not running; start it: python -m dev.cluster up")
    return ["nsenter", "--target", str(found.number), "--mount", "--net", "--pid", "--"]


def launch(settings: Settings, name: str, command: Sequence[str | Path]) -> None:
    """Start `command` as process `name` unless it runs; its output goes to logs/NAME.log."""
    if running(settings, name):
        return
    file, log = _number_file(settings, name), settings.logs / f"{name}.log"
    file.unlink(missing_ok=True)
    script = ("sh", "-c", 'echo $$ > "$1" && shift && exec "$@"', name)
    # Forked within the namespaces, the process becomes a child of their first one, and nothing stays outside.
    _detached(log, [*script, file, *command], within=enter(settings))
    _first_word(file, log)


def terminate(settings: Settings, name: str) -> None:
    """Ask process `name` to end and wait until it has; after STOP_SECONDS it is killed."""
    asked = False
    deadline = time.monotonic() + STOP_SECONDS
    while running(settings, name):
        late = time.monotonic() > deadline
        if late or not asked:
            number = _number_file(settings, name).read_text().strip()
            commands.attempt([*enter(settings), "kill", "-KILL" if late else "-TERM", number])
            asked = True
        time.sleep(0.05)


def running(settings: Settings, name: str) -> bool:
    """Whether process `name` is alive. Process numbers are the namespace's own, so none can be anyone else's."""
    found = holder(settings)
    file = _number_file(settings, name)
    if found is None or not file.exists():
        return False
    number = file.read_text().strip()
    return bool(number) and _start_ticks(Path(f"/proc/{found.number}/root/proc/{number}")) is not None


def _detached(log: Path, command: Sequence[str | Path], within: Sequence[str] = ()) -> None:
    """Start `command` in a session of its own, with its output appended to `log`, and do not wait for it."""
    script = 'log="$1" && shift && exec "$@" >> "$log" 2>&1'
    commands.run([*within, "setsid", "--fork", "sh", "-c", script, "sh", log, *command], cwd=Path("/"))


def _first_word(file: Path, log: Path) -> str:
    """Wait until a process has written its number."""
    deadline = time.monotonic() + STOP_SECONDS
    while not (file.exists() and file.read_text()):
        if time.monotonic() > deadline:
            raise MachineError(f"a process did not start: {log.read_text()}")
        time.sleep(0.01)
    return file.read_text()


def _number_file(settings: Settings, name: str) -> Path:
    return settings.run / f"{name}.pid"


def _binds(settings: Settings) -> dict[Path, str]:
    """Directories of this cluster, and the fixed places where kubelet, containerd and CNI plugins look for them."""
    return {
        settings.state / "kubelet": "/var/lib/kubelet",
        settings.logs / "pods": "/var/log/pods",
        settings.logs / "containers": "/var/log/containers",
        settings.run / "cni": "/var/lib/cni",
        settings.run / "containerd": "/run/containerd",
    }


def _start_ticks(process: Path) -> int | None:
    """When the process started, in clock ticks since the machine did; None when it has ended."""
    try:
        # The second field is the command in brackets and may hold anything; field 3 is the state, 22 the start.
        state, *rest = (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(rest[18])
