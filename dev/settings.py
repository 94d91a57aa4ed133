"""One setting, TUNEFLEET_CLUSTER, names an instance of the local cluster; everything else of it follows from the name.

Instances run beside each other: each has a number of its own, chosen when its name is first used and recorded, and from
the number follow its addresses. All of an instance's addresses lie in one network, 10.N.0.0/16:

    10.N.0.0/18     pods
    10.N.64.0/18    Services; .64.1 is the API server's, .64.10 the cluster DNS
    10.N.128.0/30   the link to this machine: .1 is the machine, .2 the node and the API server
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FIRST_NETWORK = 200  # 10.200.0.0/16: seldom used by homes, offices and clouds
INSTANCES = 16
INTERFACES = Path("/sys/class/net")
DEFAULT_NAME = "tunefleet"


class SettingsError(ValueError):
    """A setting that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Settings:
    """Names, addresses and directories of one instance."""

    name: str
    index: int
    cache: Path

    @property
    def state(self) -> Path:
        """Everything of this instance that is not a build."""
        return self.cache / "clusters" / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """Every write to the API server, one JSON object a line."""
        return self.logs / "audit.jsonl"

    @property
    def node_name(self) -> str:
        """The one node that has a kubelet."""
        return f"{self.name}-node"

    @property
    def network(self) -> str:
        """All addresses of this instance."""
        return f"{self._address(0, 0)}/16"

    @property
    def pods(self) -> str:
        """Addresses of pods."""
        return f"{self._address(0, 0)}/18"

    @property
    def services(self) -> str:
        """Addresses of Services."""
        return f"{self._address(64, 0)}/18"

    @property
    def api_service(self) -> str:
        """Where pods reach the API server."""
        return self._address(64, 1)

    @property
    def dns_service(self) -> str:
        """Where pods ask for names."""
        return self._address(64, 10)

    @property
    def host_address(self) -> str:
        """This machine as pods see it."""
        return self._address(128, 1)

    @property
    def node_address(self) -> str:
        """The node as this machine and pods see it."""
        return self._address(128, 2)

    @property
    def api_url(self) -> str:
        """The API server."""
        return f"https://{self.node_address}:6443"

    @property
    def host_link(self) -> str:
        """This machine's end of the link; interface names hold 15 characters."""
        return _link(self.index)

    @property
    def cgroup(self) -> str:
        """Where the cgroups of the pods lie."""
        return f"tunefleet-{self.name}"

    @property
    def containerd_socket(self) -> Path:
        """containerd's API, for `ctr --address`."""
        return self.run / "containerd" / "containerd.sock"

    @property
    def run(self) -> Path:
        """What is worthless once the processes have ended; short, since a socket's path holds 107 characters."""
        return Path("/run/tunefleet") / self.name

    def _address(self, third: int, fourth: int) -> str:
        return f"10.{FIRST_NETWORK + self.index}.{third}.{fourth}"


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """TUNEFLEET_CACHE, by default ~/.cache/tunefleet."""
    return Path(environ.get("TUNEFLEET_CACHE") or Path.home() / ".cache" / "tunefleet").absolute()


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The instance that TUNEFLEET_CLUSTER names. Raises SettingsError for a name that cannot be one."""
    name = environ.get("TUNEFLEET_CLUSTER") or DEFAULT_NAME
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", name):
        raise SettingsError(
            f"TUNEFLEET_CLUSTER={name!r}: use at most 20 lower-case letters, digits and dashes, a letter first"
        )
    cache = cache_directory(environ)
    return Settings(name=name, index=_index(cache, name), cache=cache)


def _link(index: int) -> str:
    return f"tf-link{index}"


def _linked(index: int) -> bool:
    """Whether a cluster of another cache directory has the number."""
    return (INTERFACES / _link(index)).exists()


def forget(settings: Settings) -> None:
    """Free the instance's number."""
    with _indices(settings.cache) as indices:
        indices.pop(settings.name, None)


def _index(cache: Path, name: str) -> int:
    with _indices(cache) as indices:
        if name not in indices:
            free = [index for index in range(INSTANCES) if index not in indices.values() and not _linked(index)]
            if not free:
                raise SettingsError(f"{INSTANCES} clusters exist already; remove one: `down --purge`")
            indices[name] = free[0]
        return indices[name]


@contextmanager
def _indices(cache: Path) -> Iterator[dict[str, int]]:
    """The recorded numbers, for changing, by one process at a time."""
    path = cache / "clusters" / "indices.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        indices: dict[str, int] = json.loads(text) if text else {}
        before = dict(indices)
        yield indices
        if indices != before:
            file.truncate(0)
            file.write(json.dumps(indices))
