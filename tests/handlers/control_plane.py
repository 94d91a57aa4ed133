"""A control plane of the tests' own: etcd, API server and the controllers, no node.

Why not the local cluster: an installed operator would act on the tests' objects, its API server cannot be stopped
under the nose of a test, and its audit log has everybody's writes. It starts in a few seconds from the binaries that
the local cluster is made of, and ends with this process, however that ends.
"""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev import settings
from dev.builds import etcd, gomodules, helm, kubernetes
from dev.cluster import pki
from tests.missing import without

TOKEN = "the-tests-admin"
OPERATOR_TOKEN = "the-tests-operator"
SYSTEM = "tunefleet-system"
"""Namespace that the chart is installed into."""
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "None"},
    ],
}
ROOT = Path(__file__).parents[2]
CONTROLLERS = (
    "deployment-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "serviceaccount-controller",
)


@dataclass
class ControlPlane:
    """One API server with what belongs to it."""

    directory: Path
    binaries: tuple[Path, Path]
    port: int
    etcd_port: int
    processes: dict[str, "subprocess.Popen[bytes]"]

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access."""
        return self.kubeconfig_for("admin", TOKEN)

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig_for(self, user: str, token: str) -> Path:
        """Access with a bearer token."""
        path = self.directory / f"{user}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.directory / "pki" / "ca.crt")}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            "current-context": "tests",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed. Raises CalledProcessError."""
        cache = f"--cache-dir={self.directory / 'kubectl'}"  # ports come back, and what they served may not
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", cache, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, *arguments: str) -> dict[str, Any]:
        """kubectl get, as JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "-o", "json", *arguments))
        return found

    def remove(self, namespace: str) -> None:
        """A namespace with its objects. They go first: an API server that has just started does not tell the
        namespace controller of custom kinds, and they would stay behind."""
        self.kubectl("delete", "tunefleet", "--all", "-n", namespace)
        self.kubectl("delete", "namespace", namespace, "--wait=false")

    def install_roles(self, *values: str) -> None:
        """The service accounts and roles of the chart, with `--set` values; nothing else of it."""
        command = [
            str(gomodules.ensure(helm.BUILD, settings.cache_directory()) / "helm"),
            *("template", "tunefleet", str(ROOT / "charts" / "tunefleet"), f"--namespace={SYSTEM}"),
            *("--show-only=templates/rbac.yaml", "--set=gateway.auth=open", *(f"--set={value}" for value in values)),
        ]
        rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        self.kubectl("apply", "--server-side", "-f", "-", stdin=rendered)

    def audit(self) -> list[dict[str, Any]]:
        """Every write until now, and every request for a Secret."""
        lines = (self.directory / "audit.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def start_api_server(self) -> None:
        """Start it and wait until it is ready."""
        pki_files, server = self.directory / "pki", self.directory / "server"
        self._launch(
            "kube-apiserver",
            [
                self.binaries[1] / "kube-apiserver",
                f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self.port}",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--authorization-mode=RBAC",
                f"--token-auth-file={server / 'tokens.csv'}",
                f"--client-ca-file={pki_files / 'ca.crt'}",
                f"--tls-cert-file={pki_files / 'apiserver.crt'}",
                f"--tls-private-key-file={pki_files / 'apiserver.key'}",
                "--service-account-issuer=https://tests",
                f"--service-account-key-file={pki_files / 'service-accounts.pub'}",
                f"--service-account-signing-key-file={pki_files / 'service-accounts.key'}",
                f"--audit-policy-file={server / 'audit-policy.yaml'}",
                f"--audit-log-path={self.directory / 'audit.log'}",
            ],
        )
        self._wait_ready()

    def end(self, name: str) -> None:
        """Kill one process."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        """It keeps its connections and answers nothing."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """It goes on."""
        self.processes[name].send_signal(signal.SIGCONT)

    def _launch(self, name: str, command: list[str | Path]) -> None:
        with (self.directory / f"{name}.log").open("ab") as output:
            guarded = ["setpriv", "--pdeathsig=KILL", *map(str, command)]
            self.processes[name] = subprocess.Popen(guarded, stdout=output, stderr=subprocess.STDOUT)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.processes["kube-apiserver"].poll() is not None:
                raise RuntimeError(f"the API server ended, see {self.directory / 'kube-apiserver.log'}")
            try:
                self.kubectl("get", "--raw", "/readyz")
            except subprocess.CalledProcessError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the API server is not ready, see {self.directory / 'kube-apiserver.log'}")


@contextmanager
def control_plane(directory: Path) -> Iterator[ControlPlane]:
    """Runs while the block does. Skips the test when there are neither binaries nor what builds them."""
    etcd_port, etcd_peer_port, port = _free_ports(3)
    plane = ControlPlane(directory, _binaries(), port, etcd_port, {})
    _write_files(directory)
    try:
        plane._launch(
            "etcd",
            [
                plane.binaries[0] / "etcd",
                "--unsafe-no-fsync",
                "--log-level=warn",
                f"--data-dir={directory / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
                f"--listen-peer-urls=http://127.0.0.1:{etcd_peer_port}",
            ],
        )
        plane.start_api_server()
        plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "-f", str(ROOT / "crds"))
        plane.kubectl("create", "namespace", SYSTEM)
        plane.install_roles()
        _start_controllers(plane)
        yield plane
    finally:
        for name in list(plane.processes):
            plane.end(name)


def _start_controllers(plane: ControlPlane) -> None:
    plane._launch(
        "kube-controller-manager",
        [
            plane.binaries[1] / "kube-controller-manager",
            f"--kubeconfig={plane.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            f"--controllers={','.join(CONTROLLERS)}",
        ],
    )


def _binaries() -> tuple[Path, Path]:
    cache = settings.cache_directory()
    builds = (etcd.BUILD, kubernetes.BUILD)
    if not all(gomodules.built(build, cache) for build in builds) and shutil.which("go") is None:
        without("needs etcd and kube-apiserver, which are built with Go")
    return gomodules.ensure(etcd.BUILD, cache), gomodules.ensure(kubernetes.BUILD, cache)


def _write_files(directory: Path) -> None:
    server = directory / "server"
    server.mkdir(parents=True)
    account = f"system:serviceaccount:{SYSTEM}:tunefleet-operator"
    groups = f"system:serviceaccounts,system:serviceaccounts:{SYSTEM}"
    (server / "tokens.csv").write_text(
        f'{TOKEN},admin,admin,"system:masters"\n{OPERATOR_TOKEN},{account},operator,"{groups}"\n'
    )
    (server / "audit-policy.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))
    (directory / "audit.log").touch()
    authority = pki.Authority(directory / "pki")
    authority.server("apiserver", ("127.0.0.1", "10.96.0.1"), ("localhost",))
    authority.signing_key("service-accounts")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()
