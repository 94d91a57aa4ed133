"""Helm, which installs the operator's chart in the demo and in tests."""

from dev.builds.gomodules import GoInstall

VERSION = "4.3.1"
BUILD = GoInstall(
    name="helm",
    version=VERSION,
    packages={"helm": "helm.sh/helm/v4/cmd/helm"},
    ldflags=f"-s -w -X helm.sh/helm/v4/internal/version.version=v{VERSION}",
)
