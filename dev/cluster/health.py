"""Waiting for what was started, and saying which process ended when it never comes."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from dev import commands
from dev.cluster import machine
from dev.settings import Settings

SECONDS = 120.0


class UnhealthyError(RuntimeError):
    """Something did not come up; the message holds the end of the log that says why."""


def wait(settings: Settings, what: str, condition: Callable[[], bool], needs: tuple[str, ...]) -> None:
    """Wait until `condition` holds. Raises UnhealthyError when one of the processes `needs` ends, or after SECONDS."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        ended = [name for name in needs if not machine.running(settings, name)]
        if ended:
            raise UnhealthyError(f"{ended[0]} ended while waiting for {what}:\n{_tail(settings, ended[0])}")
        if time.monotonic() > deadline:
            raise UnhealthyError(f"no {what} after {SECONDS:.0f} s:\n{_tail(settings, needs[-1])}")
        time.sleep(0.1)


def api_ready(settings: Settings, authority: Path) -> bool:
    """Whether the API server says that it is ready."""
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(f"{settings.api_url}/readyz", context=context, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def kubectl(settings: Settings, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the administrator."""
    return commands.run(["kubectl", f"--kubeconfig={settings.kubeconfig}", *arguments], stdin=stdin)


def condition(settings: Settings, kind: str, name: str, wanted: str, namespace: str = "default") -> bool:
    """Whether the object exists and its condition `wanted` is true."""
    found = commands.attempt(
        [
            "kubectl",
            f"--kubeconfig={settings.kubeconfig}",
            "get",
            kind,
            name,
            f"--namespace={namespace}",
            "--output=json",
        ]
    )
    if found.returncode:
        return False
    conditions = json.loads(found.stdout).get("status", {}).get("conditions", [])
    return any(each["type"] == wanted and each["status"] == "True" for each in conditions)


def _tail(settings: Settings, process: str) -> str:
    log = settings.logs / f"{process}.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
