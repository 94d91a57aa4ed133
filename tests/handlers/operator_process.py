"""`tunefleet-operator` as a process of its own, with the chart's permissions and no more."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.handlers.control_plane import OPERATOR_TOKEN, SYSTEM, ControlPlane

LEASE_SECONDS = 3.0
START_SECONDS = 30.0


@dataclass
class Operator:
    """One running process."""

    process: "subprocess.Popen[bytes]"
    admin_port: int
    log: Path

    def admin(self, path: str) -> tuple[int, str]:
        """Status and text of the admin port; status 0 when nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def leads(self) -> bool:
        """By its own metrics."""
        return "tunefleet_operator_is_leader 1.0" in self.admin("/metrics")[1]

    def wait_leading(self) -> None:
        """Until it holds the Lease and has listed everything."""
        wait_until(lambda: self.leads and self.admin("/readyz") == (200, "leading\n"), "the operator leads", self.words)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def words(self) -> str:
        """The last lines of its log."""
        return self.log.read_text()[-4000:]


@contextmanager
def running(
    plane: ControlPlane, directory: Path, *options: str, kubeconfig: Path | None = None, name: str = "operator"
) -> Iterator[Operator]:
    """Runs while the block does, unless it ends before; it leaves the Lease free."""
    port = free_port()
    access = kubeconfig or plane.kubeconfig_for("operator", OPERATOR_TOKEN)
    command = [
        *(sys.executable, "-W", "error::ResourceWarning", "-m", "tunefleet.handlers.main"),
        *(f"--namespace={SYSTEM}", "--runtime-image=tunefleet/runtime:test", f"--lease-seconds={LEASE_SECONDS}"),
        *(f"--admin-port={port}", *options),
    ]
    log = directory / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, env={**os.environ, "KUBECONFIG": str(access)}, stdout=output, stderr=output)
    operator = Operator(process, port, log)
    try:
        yield operator
        if operator.process.poll() is None:
            operator.terminate()
    finally:
        operator.kill()


def wait_until(
    condition: Callable[[], bool], what: str, words: Callable[[], str] = str, seconds: float = START_SECONDS
) -> float:
    """Seconds until the condition held. Raises AssertionError with `words` when it never does."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"waited {seconds:.0f} s in vain until {what}\n{words()}")
        time.sleep(0.05)
    return time.monotonic() - began


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
