"""etcd, whose own main package lives in a module that cannot be installed: three lines around its server."""

from __future__ import annotations

from pathlib import Path

from dev.builds.gomodules import GoModule

VERSION = "3.6.5"
MAIN = """package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"""


def write(module: Path) -> None:
    """Write the module."""
    (module / "go.mod").write_text(
        f"module tunefleet.local/etcd\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 v{VERSION}\n"
    )
    (module / "main.go").write_text(MAIN)


BUILD = GoModule(name="etcd", version=VERSION, packages={"etcd": "."}, write=write)
