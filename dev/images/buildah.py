"""Builds by buildah, which needs no daemon, with a storage of its own below the cache."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dev import commands
from dev.images.layout import Layout

# No user namespaces and no container engine are needed to build in a chroot.
ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
# Half the size for little time: what is not written to the disk need not be read from it either.
COMPRESSION = ("--compression-format=zstd", "--compression-level=1")
BUNDLE_IN_BUILD = "/run/pip-ca.crt"


def build(cache: Path, reference: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
    """Build `dockerfile` and call the result `reference`; its steps are cached."""
    command = ["bud", "--layers", "--network=host", f"--file={dockerfile}", f"--tag={reference}", *_trust()]
    _run(cache, *command, *(f"--build-arg={key}={value}" for key, value in arguments.items()), context)


def export(cache: Path, reference: str, layout: Layout) -> None:
    """Put the image into the layout, reading and compressing only the layers that the layout lacks.

    buildah takes a blob in the target for present by its name, without a look inside. So it writes into an empty layout
    in which empty files stand for the layers we have, and these are put back into the manifest that it made.
    """
    known = layout.layers()
    with tempfile.TemporaryDirectory(dir=cache) as work:
        made = Layout(Path(work))
        for diff in known:
            made.blob(diff).touch()
        _run(cache, "push", *COMPRESSION, reference, f"oci:{work}:{reference}")
        manifest = json.loads(made.blob(made.references()[reference]).read_text())
        new = [layer["digest"] for layer in manifest["layers"] if layer["digest"] not in known]
        manifest["layers"] = [known.get(layer["digest"], layer) for layer in manifest["layers"]]
        with layout.changing():
            for digest in (*new, manifest["config"]["digest"]):
                made.blob(digest).rename(layout.blob(digest))
            layout.name(reference, layout.add(json.dumps(manifest).encode()))


def has(cache: Path, reference: str) -> bool:
    """Whether the storage has the image."""
    command = [*_buildah(cache), "inspect", "--type=image", reference]
    return commands.attempt(command, env=ENVIRONMENT).returncode == 0


def forget_others(cache: Path, reference: str) -> None:
    """Drop the tags of earlier images of the same repository; their steps stay cached as far as others use them.

    Nothing is building now (`images.lock`), so a container that is there was left by a build that was killed.
    """
    repository = reference.rpartition(":")[0]
    names = _run(cache, "images", "--format={{.Name}}:{{.Tag}}").split()
    former = [name for name in names if name.startswith(f"{repository}:") and name != reference]
    if former:
        _run(cache, "rm", "--all")
        _run(cache, "rmi", *former)


def _run(cache: Path, *arguments: str | Path) -> str:
    return commands.run([*_buildah(cache), *arguments], env=ENVIRONMENT)


def _buildah(cache: Path) -> list[str]:
    return ["buildah", f"--root={cache / 'buildah' / 'root'}", f"--runroot={cache / 'buildah' / 'run'}"]


def _trust() -> list[str]:
    """Let pip in the build trust what this machine's pip is told to trust.

    The one file is mounted outside /etc/ssl: over the system's bundle it would break the ca-certificates package.
    """
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if not bundle:
        return []
    return [f"--volume={Path(bundle).resolve()}:{BUNDLE_IN_BUILD}:ro", f"--build-arg=PIP_CERT={BUNDLE_IN_BUILD}"]
