"""Loads images into containerd, moving only the blobs that it lacks.

`ctr images import` takes an archive of an OCI layout. Blobs that containerd has already need not be in it, so a change
of the code moves the layer of the code, not the 5 GB below it. The archive goes into the standard input of the command.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from typing import IO

from dev.cluster import runtime
from dev.images.layout import MANIFEST, Image, Layout
from dev.settings import Settings

NAME = "io.containerd.image.name"


class TransferError(RuntimeError):
    """containerd refused an image."""


def loaded(settings: Settings) -> Mapping[str, str]:
    """Digests of containerd's images by name."""
    rows = runtime.ctr(settings, "images", "ls").splitlines()[1:]
    return {name: digest for name, _, digest, *_ in (row.split() for row in rows)}


def load(settings: Settings, layout: Layout, image: Image, names: Sequence[str]) -> int:
    """Import `image` under `names` and return the bytes that had to be moved."""
    present = runtime.content(settings)
    # The manifest always travels: the archive's index must lead to it.
    missing = [blob for blob in image.blobs if blob == image.digest or blob not in present]
    command = ["ctr", "--address", str(settings.containerd_socket), "--namespace", runtime.NAMESPACE]
    with subprocess.Popen(
        [*command, "images", "import", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write_archive(process.stdin, layout, image, names, missing)
        except BrokenPipeError:
            pass  # it gave up reading; what it says follows
        finally:
            said = process.communicate()[0]
    if process.returncode:
        raise TransferError(f"containerd refused {names[0]}: {said.decode().strip()}")
    return sum(layout.blob(blob).stat().st_size for blob in missing)


def write_archive(out: IO[bytes], layout: Layout, image: Image, names: Sequence[str], blobs: Sequence[str]) -> None:
    """Write the archive: the index with every name, then `blobs`."""
    entry = {"mediaType": MANIFEST, "digest": image.digest, "size": image.size}
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": {NAME: name}} for name in names]}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in blobs:
            archive.add(layout.blob(blob), "blobs/" + blob.replace(":", "/"))


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
