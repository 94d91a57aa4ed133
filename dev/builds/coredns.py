"""CoreDNS with just the plugins that a cluster's DNS needs: the whole of it compiles the SDKs of three clouds."""

from __future__ import annotations

from pathlib import Path

from dev.builds.gomodules import GoModule

VERSION = "1.15.0"
MODULE = "github.com/coredns/coredns"
PLUGINS = ("cache", "errors", "health", "kubernetes", "ready", "template")


def main_go(plugins: tuple[str, ...]) -> str:
    """A main package; CoreDNS keeps the order of plugins itself."""
    imports = "".join(f'\t_ "{MODULE}/plugin/{plugin}"\n' for plugin in plugins)
    return f'package main\n\nimport (\n\t"{MODULE}/coremain"\n{imports})\n\nfunc main() {{ coremain.Run() }}\n'


def write(module: Path) -> None:
    """Write the module."""
    (module / "go.mod").write_text(f"module tunefleet.local/coredns\n\ngo 1.25\n\nrequire {MODULE} v{VERSION}\n")
    (module / "main.go").write_text(main_go(PLUGINS))


BUILD = GoModule(name="coredns", version=VERSION, packages={"coredns": "."}, write=write)
