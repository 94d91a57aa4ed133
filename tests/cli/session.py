"""The command line against a real API server, with an operator in the test's hands: it writes statuses."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.shell import Shell

Json = dict[str, Any]
BIN = Path(sys.executable).parent
"""Where the two commands lie."""


@dataclass(frozen=True)
class Ended:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Session:
    """One namespace."""

    shell: Shell
    namespace: str

    def create(self, manifest: Json) -> None:
        """As a user."""
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    def report(self, target: str, status: Json) -> None:
        """As the operator."""
        self.kubectl(
            "patch", target, "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}"
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """In the namespace."""
        return self.shell.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def get(self, target: str) -> Json:
        """An object."""
        found: Json = json.loads(self.kubectl("get", target, "-o", "json", "--show-managed-fields"))
        return found

    def run(self, *arguments: str, command: str = "tunefleet", **environment: str) -> Ended:
        """A command to its end."""
        done = subprocess.run(
            self.command(command, *arguments),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=self.environment() | environment,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str) -> Iterator["Running"]:
        """A command while it runs. Ctrl-C reaches it, also where the tests run in a background that ignores it."""
        process = subprocess.Popen(
            ["env", "--default-signal=INT", *self.command("tunefleet", *arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment() | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            yield Running(process)
        finally:
            process.kill()
            process.communicate()

    def command(self, command: str, *arguments: str) -> list[str]:
        """With the namespace behind, where kubectl takes it from."""
        first, *rest = command.split()
        path = str(BIN / first) if first.startswith("tunefleet") else first
        return [path, *rest, *arguments, "-n", self.namespace]

    def environment(self) -> dict[str, str]:
        """kubectl finds its plugins on PATH."""
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "KUBECONFIG": str(self.shell.kubeconfig),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }


@dataclass(frozen=True)
class Running:
    """A command that has not ended."""

    process: "subprocess.Popen[str]"

    def until(self, text: str) -> str:
        """The next line with this text. Fails when the command ends without one."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"never said {text!r}: {''.join(seen)} {self._errors()}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        """Its last words."""
        out, err = self.process.communicate(timeout=60)
        return Ended(self.process.returncode, out, err)

    def _errors(self) -> str:
        return self.process.stderr.read() if self.process.stderr else ""
