"""The node: configuration and command lines of containerd, the kubelet and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from dev.cluster import files, network, pki
from dev.settings import Settings

PAUSE_IMAGE = "tunefleet.local/pause:dev"
CNI_PLUGINS = Path("/usr/lib/cni")  # Debian's place

CONTAINERD = """version = 2
root = "{root}"
state = "/run/containerd/state"
# The btrfs, zfs and devmapper snapshotters log errors on other file systems.
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt",
]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  # A root user without CAP_SYS_RESOURCE, as in some virtual machines, may not lower a process's score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{cni_configuration}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def write_containerd(settings: Settings) -> None:
    """Write containerd's and the CNI plugins' configuration."""
    cni = settings.state / "cni"
    cni.mkdir(parents=True, exist_ok=True)
    files.write(cni / "10-tunefleet.conflist", json.dumps(network.cni_configuration(settings), indent=2))
    text = CONTAINERD.format(
        root=settings.state / "containerd", pause=PAUSE_IMAGE, cni_plugins=CNI_PLUGINS, cni_configuration=cni
    )
    files.write(_containerd_file(settings), text)


def containerd(settings: Settings) -> list[str | Path]:
    """containerd, of the distribution's package."""
    return ["containerd", "--config", _containerd_file(settings), "--log-level", "warn"]


def kubelet_configuration(settings: Settings, authority: pki.Authority) -> dict[str, object]:
    """A node that never throws an image away and never evicts before the disk is full."""
    serving = authority.server("kubelet-server", [settings.node_address], [settings.node_name])
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.pair.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [settings.dns_service],
        # Pods see no resolver of this machine: nothing outside the cluster can be reached from them.
        "resolvConf": str(_resolver_file(settings)),
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
        "logging": {"verbosity": 1},
    }


def write_kubelet(settings: Settings, authority: pki.Authority) -> Path:
    """Write the kubelet's configuration and the access of its node; returns the kubeconfig."""
    files.write(_resolver_file(settings), "")
    files.write(_kubelet_file(settings), yaml.safe_dump(kubelet_configuration(settings, authority)))
    return pki.write_kubeconfig(settings.state / "kubelet.kubeconfig", settings, authority, pki.kubelet(settings))


def kubelet(settings: Settings, binaries: Path, kubeconfig: Path) -> list[str | Path]:
    """The node's address must not be a loopback one, or `kubectl logs` and `exec` cannot reach the kubelet."""
    return [
        binaries / "kubelet",
        f"--config={_kubelet_file(settings)}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={settings.node_name}",
        f"--node-ip={settings.node_address}",
    ]


def write_kube_proxy(settings: Settings, kubeconfig: Path) -> Path:
    """Write kube-proxy's configuration: nftables, and no limit on tracked connections of the machine changed."""
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": settings.pods,
        "hostnameOverride": settings.node_name,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    return files.write(settings.state / "kube-proxy.yaml", yaml.safe_dump(configuration))


def kube_proxy(binaries: Path, configuration: Path) -> list[str | Path]:
    """Services, as rules of the cluster's own network namespace."""
    return [binaries / "kube-proxy", f"--config={configuration}"]


def _containerd_file(settings: Settings) -> Path:
    return settings.state / "containerd.toml"


def _kubelet_file(settings: Settings) -> Path:
    return settings.state / "kubelet.yaml"


def _resolver_file(settings: Settings) -> Path:
    return settings.state / "resolv.conf"
