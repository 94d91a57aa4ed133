"""The native cluster: bring it up from whatever state the machine is in, and take it down without a trace.

Kept from one life to the next: certificates, containerd's images. Made anew: etcd's data, the kubelet's directories.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from dev import locks
from dev.builds import etcd, kubernetes
from dev.builds.gomodules import ensure
from dev.cluster import (
    cgroups,
    controlplane,
    dns,
    health,
    machine,
    mounts,
    network,
    node,
    pki,
    prerequisites,
    runtime,
    tools,
)
from dev.images import load as images
from dev.settings import Settings
from dev.steps import skipped, step

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = ("containerd", "kubelet", "kube-proxy")
PROCESSES = (*CONTROL_PLANE, *NODE)
VOLATILE = ("etcd", "kubelet", "logs")


def up(settings: Settings, *, install: bool) -> None:
    """Bring the cluster up to a ready node and answering DNS; what runs already is left alone."""
    with _alone(settings):
        _up(settings, install=install)


def _up(settings: Settings, *, install: bool) -> None:
    prerequisites.ensure(install=install)
    for build in (kubernetes.BUILD, etcd.BUILD):
        ensure(build, settings.cache)
    tools.ensure_tools(settings.cache)
    fresh = _start_machine(settings)
    authority = pki.Authority(settings.state / "pki")
    pki.write_kubeconfig(settings.kubeconfig, settings, authority, pki.ADMIN)
    _start_containerd(settings, fresh=fresh)
    _start_control_plane(settings, authority)
    _start_node(settings, authority)
    with step("cluster DNS answers"):
        dns.apply(settings)
        ready = lambda: health.condition(settings, "deployment", "coredns", "Available", "kube-system")  # noqa: E731
        health.wait(settings, "cluster DNS", ready, PROCESSES)


def down(settings: Settings) -> None:
    """End the cluster and remove every trace of it from the machine but its images and certificates."""
    with _alone(settings):
        _down(settings)


def _alone(settings: Settings) -> AbstractContextManager[None]:
    lock = settings.state.with_suffix(".lock")
    return locks.alone(lock, f"wait for another process that works on cluster {settings.name}")


def _down(settings: Settings) -> None:
    if machine.holder(settings):
        with step("stop pods and processes"):
            machine.terminate(settings, "kubelet")
            if machine.running(settings, "containerd"):
                runtime.remove_containers(settings)
                machine.terminate(settings, "containerd")
            machine.stop(settings)
    with step("remove mounts, interfaces and cgroups"):
        clean(settings)


def clean(settings: Settings) -> None:
    """Remove what a cluster without processes left: after `down` that is files, after a crash it can be anything."""
    network.disconnect(settings)
    for directory in (settings.run, settings.state):
        mounts.release(directory)
    cgroups.remove(settings)
    shutil.rmtree(settings.run, ignore_errors=True)
    for name in VOLATILE:
        shutil.rmtree(settings.state / name, ignore_errors=True)


def purge(settings: Settings) -> None:
    """Remove the images and certificates, too."""
    shutil.rmtree(settings.state, ignore_errors=True)


def load(settings: Settings, reference: str) -> None:
    """Bring an image of the layout in, or one of an archive: a file."""
    if Path(reference).is_file():
        with step(f"load {reference}"):
            runtime.ctr(settings, "images", "import", reference)
        return
    images.load_reference(settings, images.layout(settings.cache), reference)


def parts(settings: Settings) -> Mapping[str, bool]:
    """Its processes, and this machine's end of the link."""
    link = Path("/sys/class/net", settings.host_link).exists()
    return {"network link": link, **{name: machine.running(settings, name) for name in PROCESSES}}


def _start_machine(settings: Settings) -> bool:
    """Returns whether the namespaces are new, so that nothing runs in them."""
    fresh = machine.holder(settings) is None
    if not fresh:
        skipped("namespaces", "running")
    else:
        with step("remove what an earlier life left"):
            clean(settings)
        with step("namespaces"):
            settings.logs.mkdir(parents=True)
            machine.start(settings)
    network.connect(settings)
    cgroups.create(settings)
    return fresh


def _start_containerd(settings: Settings, *, fresh: bool) -> None:
    if machine.running(settings, "containerd"):
        skipped("containerd", "running")
        return
    with step("containerd"):
        node.write_containerd(settings)
        _launch_containerd(settings)
        if fresh and runtime.containers(settings):
            # A crash left them in the records; the kubelet of the new cluster would find pods that nobody wants.
            runtime.remove_containers(settings)
            machine.terminate(settings, "containerd")
            _launch_containerd(settings)
    if fresh:
        images.prune(settings)
    images.static(settings, ("pause", "coredns"))


def _launch_containerd(settings: Settings) -> None:
    machine.launch(settings, "containerd", node.containerd(settings))
    health.wait(settings, "containerd", lambda: runtime.answers(settings), ("containerd",))


def _start_control_plane(settings: Settings, authority: pki.Authority) -> None:
    binaries, files = _kubernetes(settings), controlplane.certificates(settings, authority)
    with step("API server"):
        controlplane.write_audit_policy(settings)
        machine.launch(settings, "etcd", controlplane.etcd(settings, settings.cache / "bin" / f"etcd-{etcd.VERSION}"))
        machine.launch(settings, "kube-apiserver", controlplane.api_server(settings, binaries, files))
        ready = lambda: health.api_ready(settings, authority.pair.certificate)  # noqa: E731
        health.wait(settings, "API server", ready, ("etcd", "kube-apiserver"))
    access = {
        client.file: pki.write_kubeconfig(settings.state / f"{client.file}.kubeconfig", settings, authority, client)
        for client in (pki.CONTROLLER_MANAGER, pki.SCHEDULER)
    }
    manager = controlplane.controller_manager(settings, binaries, files, access[pki.CONTROLLER_MANAGER.file])
    machine.launch(settings, "kube-controller-manager", manager)
    machine.launch(settings, "kube-scheduler", controlplane.scheduler(binaries, access[pki.SCHEDULER.file]))


def _start_node(settings: Settings, authority: pki.Authority) -> None:
    binaries = _kubernetes(settings)
    with step("node ready"):
        machine.launch(settings, "kubelet", node.kubelet(settings, binaries, node.write_kubelet(settings, authority)))
        access = pki.write_kubeconfig(settings.state / "kube-proxy.kubeconfig", settings, authority, pki.PROXY)
        machine.launch(settings, "kube-proxy", node.kube_proxy(binaries, node.write_kube_proxy(settings, access)))
        ready = lambda: health.condition(settings, "node", settings.node_name, "Ready")  # noqa: E731
        health.wait(settings, "ready node", ready, PROCESSES)


def _kubernetes(settings: Settings) -> Path:
    return settings.cache / "bin" / f"kubernetes-{kubernetes.VERSION}"
