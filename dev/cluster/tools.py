"""kubectl and helm: the machine's, else built and linked to where `make` looks first, the virtual environment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from dev.builds import helm, kubernetes
from dev.builds.gomodules import Build, ensure

TOOLS: dict[str, Build] = {"kubectl": kubernetes.KUBECTL, "helm": helm.BUILD}


def ensure_tools(cache: Path) -> None:
    """Afterwards both are in this process's PATH."""
    directory = Path(sys.prefix) / "bin"
    for name, build in TOOLS.items():
        if shutil.which(name) is None:
            link = directory / name
            link.unlink(missing_ok=True)
            link.symlink_to(ensure(build, cache) / name)
    if str(directory) not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([str(directory), os.environ["PATH"]])
