"""CoreDNS, which serves the cluster's names from a Deployment."""

from dev.builds.gomodules import GoInstall

VERSION = "1.15.0"
BUILD = GoInstall(name="coredns", version=VERSION, packages={"coredns": "github.com/coredns/coredns"})
