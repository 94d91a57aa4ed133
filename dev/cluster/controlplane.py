"""The command lines of etcd, the API server, the controller manager and the scheduler, and their files.

They run in the cluster's own network namespace, so they keep their default ports on its loopback.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from dev.cluster import files, pki
from dev.settings import Settings

# Writes only, without bodies: enough to tell who changes what and how often.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class Certificates:
    """What the control plane's command lines refer to."""

    authority: pki.Pair
    server: pki.Pair
    service_accounts: pki.Pair
    kubelet_client: pki.Pair
    proxy_client: pki.Pair


def certificates(settings: Settings, authority: pki.Authority) -> Certificates:
    """Issue them, or find them issued."""
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    addresses = (settings.node_address, settings.api_service, "127.0.0.1")
    return Certificates(
        authority=authority.pair,
        server=authority.server("apiserver", addresses, (*names, "kubernetes.default.svc.cluster.local")),
        service_accounts=authority.signing_key("service-accounts"),
        kubelet_client=authority.client(pki.Client("apiserver-kubelet", "kube-apiserver", ("system:masters",))),
        proxy_client=authority.client(pki.Client("front-proxy", "front-proxy-client")),
    )


def etcd(settings: Settings, binaries: Path) -> list[str | Path]:
    """No fsync: the data is made anew at each start of the cluster, so a crash of the machine costs nothing."""
    return [binaries / "etcd", "--unsafe-no-fsync", f"--data-dir={settings.state / 'etcd'}", "--log-level=warn"]


def write_audit_policy(settings: Settings) -> None:
    """Write the policy where `api_server` points."""
    files.write(_audit_policy(settings), yaml.safe_dump(AUDIT_POLICY))


def api_server(settings: Settings, binaries: Path, issued: Certificates) -> list[str | Path]:
    """RBAC, admission as in a default cluster, and an audit log of every write."""
    return [
        binaries / "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        # Pods reach the server by its Service, whose endpoint is this address.
        f"--advertise-address={settings.node_address}",
        f"--service-cluster-ip-range={settings.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={issued.authority.certificate}",
        f"--tls-cert-file={issued.server.certificate}",
        f"--tls-private-key-file={issued.server.key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={issued.service_accounts.certificate}",
        f"--service-account-signing-key-file={issued.service_accounts.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={issued.authority.certificate}",
        f"--kubelet-client-certificate={issued.kubelet_client.certificate}",
        f"--kubelet-client-key={issued.kubelet_client.key}",
        f"--requestheader-client-ca-file={issued.authority.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={issued.proxy_client.certificate}",
        f"--proxy-client-key-file={issued.proxy_client.key}",
        f"--audit-policy-file={_audit_policy(settings)}",
        f"--audit-log-path={settings.audit_log}",
        "--audit-log-maxsize=200",
        "--audit-log-maxbackup=1",
    ]


def controller_manager(settings: Settings, binaries: Path, issued: Certificates, kubeconfig: Path) -> list[str | Path]:
    """Every controller of a default cluster, each under its own service account."""
    return [
        binaries / "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={issued.service_accounts.key}",
        f"--root-ca-file={issued.authority.certificate}",
        f"--cluster-signing-cert-file={issued.authority.certificate}",
        f"--cluster-signing-key-file={issued.authority.key}",
        f"--cluster-cidr={settings.pods}",
        f"--service-cluster-ip-range={settings.services}",
    ]


def scheduler(binaries: Path, kubeconfig: Path) -> list[str | Path]:
    """The default scheduler."""
    return [binaries / "kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false"]


def _audit_policy(settings: Settings) -> Path:
    return settings.state / "audit-policy.yaml"
