"""What the native cluster needs of the machine, and the command that gets it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from dev import commands
from dev.steps import skipped, step

# A program, or a path, and Debian's package that has it.
NEEDS = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
    "iptables": "iptables",  # the portmap CNI plugin calls it
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "modprobe": "kmod",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}


class MissingError(RuntimeError):
    """The machine lacks something; the message says what, and how to get it."""


def ensure(*, install: bool) -> None:
    """Check everything; with `install`, Debian's packages are installed rather than asked for."""
    _refuse([*_machine_problems(), *_tool_problems()])
    packages = missing_packages()
    if packages:
        _get(packages, install=install)
    else:
        skipped("system packages", "all there")
    _refuse(_kernel_problems())


def _refuse(problems: list[str]) -> None:
    if problems:
        raise MissingError("\n".join(problems))


def _get(packages: list[str], *, install: bool) -> None:
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not install:
        raise MissingError(
            f"missing: {', '.join(packages)}. Get them: {command}\nor: python -m dev.cluster up --install"
        )
    with step(f"install {', '.join(packages)}"):
        commands.run(["sh", "-c", command], env={"DEBIAN_FRONTEND": "noninteractive"})


def missing_packages() -> list[str]:
    """Debian packages whose programs are not there."""
    return [package for need, package in NEEDS.items() if not _there(need)]


def _there(need: str) -> bool:
    return Path(need).exists() if need.startswith("/") else shutil.which(need) is not None


def _machine_problems() -> list[str]:
    problems = []
    if platform.system() != "Linux":
        problems.append("the native cluster needs Linux; elsewhere install Docker and kind, which are used when found")
    elif os.geteuid() != 0:
        problems.append("the native cluster needs root: sudo make up (or install Docker and kind)")
    if not Path("/etc/debian_version").exists():
        problems.append(
            "the native cluster is made of Debian's containerd and CNI plugins; elsewhere use Docker and kind"
        )
    return problems


def _kernel_problems() -> list[str]:
    """Modules that may have to be loaded: bridges whose packets nftables sees, and layers of images."""
    there = {
        "br_netfilter": Path("/proc/sys/net/bridge").exists(),
        "overlay": "\toverlay\n" in Path("/proc/filesystems").read_text(),
    }
    missing = [name for name, found in there.items() if not found]
    failed = [name for name in missing if commands.attempt(["modprobe", name]).returncode]
    return [f"the kernel has no {name}: a kernel with that module is needed" for name in failed]


def _tool_problems() -> list[str]:
    return (
        [] if shutil.which("go") else ["go is not in PATH: Go 1.25 or later builds Kubernetes, see go.dev/doc/install"]
    )
