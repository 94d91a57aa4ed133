"""versitygw: an S3 server over a directory, the demo's store of weights."""

from dev.builds.gomodules import GoInstall

VERSION = "1.8.0"
BUILD = GoInstall(
    name="versitygw", version=VERSION, packages={"versitygw": "github.com/versity/versitygw/cmd/versitygw"}
)
