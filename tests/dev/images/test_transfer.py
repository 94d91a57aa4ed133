"""An archive for containerd holds the index with every name and just the blobs that are asked for."""

import io
import json
import tarfile
from pathlib import Path

from dev.images import transfer
from dev.images.layout import Layout, write_static


def read(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file}


def test_only_the_blobs_that_are_missing_travel(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write_static(layout, "test/a:1", {"/bin/x": b"x"}, ["/bin/x"])
    image = layout.image("test/a:1")
    assert image is not None
    out = io.BytesIO()

    transfer.write_archive(out, layout, image, ["test/a:1", "test/a:dev"], image.blobs[:1])

    files = read(out.getvalue())
    assert set(files) == {"oci-layout", "index.json", "blobs/" + image.digest.replace(":", "/")}
    entries = json.loads(files["index.json"])["manifests"]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in entries] == ["test/a:1", "test/a:dev"]
    assert {entry["digest"] for entry in entries} == {image.digest}
