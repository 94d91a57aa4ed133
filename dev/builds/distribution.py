"""distribution: the OCI registry that tests push artifacts to."""

from dev.builds.gomodules import GoInstall

VERSION = "3.1.2"
BUILD = GoInstall(
    name="distribution", version=VERSION, packages={"registry": "github.com/distribution/distribution/v3/cmd/registry"}
)
