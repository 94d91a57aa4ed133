"""kwok: nodes and pods without kubelets, for large fleets on one machine."""

from dev.builds.gomodules import GoInstall

VERSION = "0.8.0"
BUILD = GoInstall(
    name="kwok",
    version=VERSION,
    packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    ldflags=f"-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=v{VERSION}",
)
