"""Kubernetes: the control plane, the kubelet and kube-proxy.

Its go.mod replaces the staging modules (`k8s.io/api v0.0.0` …) by directories of its own repository. A module of our
own requires it and replaces those by the modules as they were published, `v0.35.4` for Kubernetes 1.35.4.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from dev import commands
from dev.builds.gomodules import ENVIRONMENT, GoModule

VERSION = "1.35.4"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
MODULE = "k8s.io/kubernetes"


def ldflags(version: str) -> str:
    """Stamp the version: an API server without it calls itself v0.0.0 and clients misbehave."""
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())])


def go_mod(upstream: str, version: str) -> str:
    """Our go.mod: the language version and GODEBUG settings of Kubernetes' own, and the published staging modules."""
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0(?:\s|$)", upstream, re.MULTILINE)))
    settings = re.findall(r"^(?:go .*|godebug \([^)]*\)|godebug [^(\n]*)$", upstream, re.MULTILINE)
    published = "v0." + version.removeprefix("1.")
    lines = [
        "module tunefleet.local/kubernetes",
        *settings,
        f"require {MODULE} v{version}",
        *(f"replace {name} => {name} {published}" for name in staging),
    ]
    return "\n\n".join(lines) + "\n"


def write(module: Path) -> None:
    """Write go.mod and a file that makes `go mod tidy` keep the components."""
    answer = json.loads(
        commands.run(["go", "mod", "download", "-json", f"{MODULE}@v{VERSION}"], cwd=module, env=ENVIRONMENT)
    )
    (module / "go.mod").write_text(go_mod(Path(answer["GoMod"]).read_text(), VERSION))
    imports = "".join(f'\t_ "{MODULE}/cmd/{component}"\n' for component in COMPONENTS)
    (module / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")


BUILD = GoModule(
    name="kubernetes",
    version=VERSION,
    packages={component: f"{MODULE}/cmd/{component}" for component in COMPONENTS},
    write=write,
    ldflags=ldflags(VERSION),
)


def _write_kubectl(module: Path) -> None:
    write(module)
    (module / "tools.go").write_text(f'//go:build tools\n\npackage tools\n\nimport _ "{MODULE}/cmd/kubectl"\n')


# Only for machines that have none.
KUBECTL = GoModule(
    name="kubectl",
    version=VERSION,
    packages={"kubectl": f"{MODULE}/cmd/kubectl"},
    write=_write_kubectl,
    ldflags=ldflags(VERSION),
)
