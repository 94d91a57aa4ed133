"""fake-gcs-server: Google Cloud Storage's API over memory, for tests."""

from dev.builds.gomodules import GoInstall

VERSION = "1.56.0"
BUILD = GoInstall(
    name="fake-gcs-server", version=VERSION, packages={"fake-gcs-server": "github.com/fsouza/fake-gcs-server"}
)
