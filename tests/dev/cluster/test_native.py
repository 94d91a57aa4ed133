"""A second cluster beside the first: it comes up, comes back from a crash, and goes without a trace."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import commands, settings
from dev.builds import pause
from dev.builds.gomodules import directory
from dev.cluster import health, machine, native, runtime
from dev.images import transfer
from dev.images.layout import Layout, write_static

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("containerd"), reason="the native cluster needs root"),
]
SECONDS = 20.0


@pytest.fixture(scope="module")
def instance() -> Iterator[settings.Settings]:
    """An instance of its own, which shares only the builds with the others."""
    one = settings.load({**os.environ, "TUNEFLEET_CLUSTER": "lifecycle-test"})
    native.down(one)
    yield one
    native.down(one)
    native.purge(one)
    settings.forget(one)


@pytest.fixture
def running(instance: settings.Settings) -> settings.Settings:
    """The instance, up."""
    native.up(instance, install=False)
    return instance


def wait_until_gone(paths: list[Path]) -> None:
    """The kernel dismantles namespaces after their last process ended."""
    deadline = time.monotonic() + SECONDS
    while any(path.exists() for path in paths):
        assert time.monotonic() < deadline, [path for path in paths if path.exists()]
        time.sleep(0.05)


def processes_of(instance: settings.Settings) -> list[Path]:
    """Every process of the cluster, containers included: all that descend from its first one."""
    found = machine.holder(instance)
    assert found is not None
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    family = [found.number]
    for number in family:
        family.extend(children.get(number, []))
    return [Path("/proc", str(number)) for number in family]


def cgroups(instance: settings.Settings) -> list[Path]:
    return [*Path("/sys/fs/cgroup").glob(instance.cgroup), *Path("/sys/fs/cgroup").glob(f"*/{instance.cgroup}")]


def mounts_of(instance: settings.Settings) -> list[str]:
    places = (str(instance.run), str(instance.state))
    return [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4].startswith(places)
    ]


def start_pod(instance: settings.Settings) -> None:
    """A pod with a projected token, so that the kubelet mounts a tmpfs for it."""
    health.kubectl(instance, "run", "busy", "--image=tunefleet.local/pause:dev", "--image-pull-policy=Never")
    health.kubectl(instance, "wait", "--for=condition=Ready", "pod/busy", "--timeout=60s")


def test_up_again_leaves_everything_running_as_it_is(running: settings.Settings) -> None:
    before = {name: (running.run / f"{name}.pid").read_text() for name in native.PROCESSES}

    native.up(running, install=False)

    assert {name: (running.run / f"{name}.pid").read_text() for name in native.PROCESSES} == before
    assert all(native.parts(running).values())


def test_pods_have_logs_and_commands(running: settings.Settings) -> None:
    pod = health.kubectl(running, "get", "pods", "-n", "kube-system", "-o", "name").strip()

    assert "CoreDNS-" in health.kubectl(running, "logs", "-n", "kube-system", pod)
    assert "CoreDNS-" in health.kubectl(running, "exec", "-n", "kube-system", pod, "--", "/bin/coredns", "-version")


def test_names_of_services_are_answered_and_others_do_not_exist(running: settings.Settings) -> None:
    def ask(name: str) -> str:
        command = [*machine.enter(running), "python3", "-c", RESOLVE, running.dns_service, name]
        return commands.run(command, cwd=Path("/")).strip()

    assert ask("kubernetes.default.svc.cluster.local") == running.api_service
    assert ask("example.com") == "NXDOMAIN"


def test_a_process_that_ended_is_started_again(running: settings.Settings) -> None:
    machine.terminate(running, "kube-scheduler")
    assert not native.parts(running)["kube-scheduler"]

    native.up(running, install=False)

    assert native.parts(running)["kube-scheduler"]


def test_an_image_that_shares_a_layer_moves_only_what_is_new(running: settings.Settings, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    binary = (directory(pause.BUILD, running.cache) / "pause").read_bytes()
    program = {"/bin/pause": binary, "/filler": os.urandom(1 << 20)}
    moved = []
    for name, entrypoint in (("first", ["/bin/pause"]), ("second", ["/bin/pause", "argument"])):
        write_static(layout, f"test.local/{name}:1", program, entrypoint)
        image = layout.image(f"test.local/{name}:1")
        assert image is not None
        moved.append(transfer.load(running, layout, image, [f"test.local/{name}:1"]))

    assert moved[0] > 1 << 20
    assert moved[1] < 10_000
    health.kubectl(running, "run", "second", "--image=test.local/second:1", "--image-pull-policy=Never")
    health.kubectl(running, "wait", "--for=condition=Ready", "pod/second", "--timeout=60s")


def test_up_heals_what_a_crash_left(running: settings.Settings) -> None:
    start_pod(running)
    processes = processes_of(running)
    assert len(processes) > len(native.PROCESSES)
    os.kill(int(processes[0].name), signal.SIGKILL)
    wait_until_gone([*processes, Path("/sys/class/net", running.host_link)])
    # What may be left besides: a link and mounts of this machine's own namespaces.
    subprocess.run(["ip", "link", "add", running.host_link, "type", "bridge"], check=True)
    stale = running.state / "kubelet" / "pods" / "stale"
    stale.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(stale)], check=True)
    assert cgroups(running)

    native.up(running, install=False)

    assert all(native.parts(running).values())
    assert mounts_of(running) == []
    pods = health.kubectl(running, "get", "pods", "--all-namespaces", "-o", "name").split()
    assert [pod for pod in pods if "coredns" not in pod] == []
    # One pod: its sandbox and its container.
    assert len(runtime.containers(running)) == 2


def test_down_leaves_no_trace_and_keeps_the_images(running: settings.Settings) -> None:
    start_pod(running)
    processes = processes_of(running)
    tables = commands.run(["nft", "list", "tables"])

    native.down(running)

    assert [process for process in processes if process.exists()] == []
    assert not Path("/sys/class/net", running.host_link).exists()
    assert running.network not in commands.run(["ip", "route"])
    assert mounts_of(running) == []
    assert cgroups(running) == []
    assert not running.run.exists()
    assert commands.run(["nft", "list", "tables"]) == tables
    assert not any(native.parts(running).values())
    assert (running.state / "containerd").exists()


def test_down_twice_is_no_error(instance: settings.Settings) -> None:
    native.down(instance)
    native.down(instance)


RESOLVE = """
import socket, struct, sys
server, name = sys.argv[1:]
question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0\\0\\1\\0\\1"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.settimeout(5)
    asking.sendto(struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + question, (server, 53))
    answer = asking.recv(512)
code, answers = answer[3] & 15, answer[7]
print("NXDOMAIN" if code == 3 else socket.inet_ntoa(answer[-4:]) if answers else f"code {code}")
"""
