"""The first process in a cluster's own namespaces: prepares them, then adopts and reaps what ends.

Run by `machine.start` as a plain file under `unshare`, so it imports nothing of the project. Since it is process 1 of
its process namespace, the kernel ends every process of the cluster when this one ends, and with the last process go
the mounts and interfaces of the namespaces: nothing can be left behind.

Arguments: a file for this process's number as the machine sees it, then pairs SOURCE:TARGET of directories to bind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Prepare the namespaces, write the file, then wait for ever."""
    ready, *binds = sys.argv[1:]
    # /proc is still the machine's, so /proc/self is this process's number there.
    number = Path("/proc/self").readlink()
    _mount("-t", "proc", "proc", "/proc")
    for bind in binds:
        source, target = bind.split(":")
        Path(source).mkdir(parents=True, exist_ok=True)
        Path(target).mkdir(parents=True, exist_ok=True)
        _mount("--bind", source, target)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for setting, value in SYSCTLS.items():
        Path("/proc/sys/net", setting).write_text(value)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    Path(ready).write_text(str(number))
    while True:
        signal.sigwait({signal.SIGCHLD})
        _reap()


SYSCTLS = {
    "ipv4/ip_forward": "1",
    # Packets between two pods pass by the bridge; kube-proxy must see them, or answers of Services are not translated.
    "bridge/bridge-nf-call-iptables": "1",
}


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _reap() -> None:
    while True:
        try:
            number, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if number == 0:
            return


if __name__ == "__main__":
    main()
