"""A Kubernetes API server for tests alone: etcd and kube-apiserver as two processes on loopback, up in seconds.

No controller runs beside it and nobody else writes to it, so what a test reads is what it wrote. Namespaces are never
fully deleted, and no pod ever starts.
"""

import secrets
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

START_SECONDS = 60


@dataclass(frozen=True)
class Binaries:
    """Where the two programs lie."""

    etcd: Path
    kubernetes: Path

    @property
    def present(self) -> bool:
        """Whether both can be started."""
        return (self.etcd / "etcd").exists() and (self.kubernetes / "kube-apiserver").exists()


@contextmanager
def running(binaries: Binaries, directory: Path) -> Iterator[Path]:
    """The administrator's kubeconfig of a fresh API server, which ends with the block."""
    client_port, peer_port, api_port = _free_ports(3)
    token = secrets.token_hex(16)
    (directory / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    (directory / "accounts.key").write_bytes(_signing_key())
    with ExitStack() as processes:
        etcd = _etcd(binaries, directory, client_port, peer_port)
        server = _api_server(binaries, directory, client_port, api_port)
        started = [processes.enter_context(_process(command, directory)) for command in (etcd, server)]
        _wait_ready(api_port, directory, token, started)
        yield _kubeconfig(directory, api_port, token)


def _etcd(binaries: Binaries, directory: Path, client_port: int, peer_port: int) -> Sequence[str]:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return (
        str(binaries.etcd / "etcd"),
        f"--data-dir={directory / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=error",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    )


def _api_server(binaries: Binaries, directory: Path, etcd_port: int, port: int) -> Sequence[str]:
    """The ServiceAccount plugin would refuse every pod: the accounts that it wants are made by a controller."""
    return (
        str(binaries.kubernetes / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certificates'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory / 'accounts.key'}",
        f"--service-account-signing-key-file={directory / 'accounts.key'}",
        "--service-cluster-ip-range=10.96.0.0/24",
    )


@contextmanager
def _process(command: Sequence[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen([*_guard(), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _guard() -> Sequence[str]:
    """Where Linux' tools are there, no process outlives the tests, however those end."""
    return ("setpriv", "--pdeathsig=KILL") if shutil.which("setpriv") else ()


def _wait_ready(port: int, directory: Path, token: str, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Raises RuntimeError with the log's last words when a process ends, or when it takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not _ready(port, directory, token):
        ended = any(process.poll() is not None for process in processes)
        if ended or time.monotonic() > deadline:
            raise RuntimeError("no API server:\n" + (directory / "kube-apiserver.log").read_text()[-2000:])
        time.sleep(0.1)


def _ready(port: int, directory: Path, token: str) -> bool:
    certificate = directory / "certificates" / "apiserver.crt"
    if not certificate.exists():
        return False
    request = urllib.request.Request(f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(certificate))) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _kubeconfig(directory: Path, port: int, token: str) -> Path:
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(directory / "certificates" / "apiserver.crt"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
        "current-context": "tests",
    }
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _signing_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _free_ports(count: int) -> tuple[int, ...]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)
