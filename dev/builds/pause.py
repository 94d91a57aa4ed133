"""The process that holds a pod's namespaces: it waits until it is told to end."""

from __future__ import annotations

from pathlib import Path

from dev.builds.gomodules import GoModule

MAIN = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	<-told
}
"""


def write(module: Path) -> None:
    """Write the module."""
    (module / "go.mod").write_text("module tunefleet.local/pause\n\ngo 1.24\n")
    (module / "main.go").write_text(MAIN)


BUILD = GoModule(name="pause", version="1", packages={"pause": "."}, write=write)
