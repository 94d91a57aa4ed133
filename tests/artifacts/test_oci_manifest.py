"""Which layers are files and which are archives; and manifests that say nothing usable."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.oci_manifest import DOCKER_INDEX, INDEX, MANIFEST, layers, only_manifest, parse_manifest

DIGEST = "sha256:" + "0" * 64
MODEL = "application/vnd.cncf.model"
TITLE = {"org.opencontainers.image.title": "a.json"}
FILEPATH = {"org.cncf.model.filepath": "a.json"}


def layer(media_type: str, annotations: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 5, "annotations": annotations, **fields}


@pytest.mark.parametrize(
    ("entry", "archive"),
    [
        (layer(f"{MODEL}.weight.v1.raw", FILEPATH), False),
        (layer(f"{MODEL}.weight.config.v1.raw", FILEPATH), False),
        (layer(f"{MODEL}.weight.v1.tar", FILEPATH), True),
        (layer(f"{MODEL}.weight.config.v1.tar"), True),
        (layer("application/vnd.oci.image.layer.v1.tar", TITLE), False),
        (layer("application/vnd.oci.image.layer.v1.tar"), True),
        (layer("application/vnd.oci.image.layer.v1.tar+gzip", TITLE), False),
        (layer("application/vnd.docker.ai.safetensors", TITLE), False),
        (layer("application/octet-stream", {"org.opencontainers.image.title": "./a.json"}), False),
    ],
)
def test_files_and_archives(entry: dict[str, Any], archive: bool) -> None:
    (found,) = layers("x", {"layers": [entry]})
    assert found.archive == archive
    assert found.name == ("" if entry["annotations"] is None else "a.json")
    assert (found.digest, found.size, found.sha256) == (DIGEST, 5, "0" * 64)


@pytest.mark.parametrize("part", ["doc", "code", "dataset"])
@pytest.mark.parametrize("form", ["raw", "tar", "tar+gzip"])
def test_what_engines_do_not_read_is_passed_over(part: str, form: str) -> None:
    assert layers("x", {"layers": [layer(f"{MODEL}.{part}.v1.{form}", FILEPATH)]}) == ()


def test_a_layer_without_a_name_is_passed_over() -> None:
    assert layers("x", {"layers": [layer("application/octet-stream")]}) == ()


@pytest.mark.parametrize(
    "entry",
    [
        layer(f"{MODEL}.weight.v1.tar+gzip", FILEPATH),
        layer(f"{MODEL}.weight.v1.tar+zstd"),
        layer("application/vnd.oci.image.layer.v1.tar+gzip"),
        layer("application/vnd.docker.image.rootfs.diff.tar.gzip"),
        layer("application/vnd.oci.image.layer.v1.tar+gzip", TITLE | {"io.deis.oras.content.unpack": "true"}),
    ],
)
def test_compressed_archives_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="push the files raw") as refused:
        layers("x", {"layers": [entry]})
    assert refused.value.reason == Reason.UNSUPPORTED_SOURCE


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"layers": "x"},
        {"layers": [layer("x", digest="md5:0")]},
        {"layers": [layer("x", size=-1)]},
        {"layers": [3]},
        {"layers": [layer("x", TITLE)] * 4097},
    ],
)
def test_manifests_without_usable_layers(manifest: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError) as refused:
        layers("x", manifest)
    assert refused.value.reason == Reason.UNSUPPORTED_SOURCE


def test_an_index_of_one() -> None:
    entry = layer(MANIFEST)
    assert only_manifest("x", {"mediaType": INDEX, "manifests": [entry]}) == DIGEST
    assert only_manifest("x", {"mediaType": DOCKER_INDEX, "manifests": [entry]}) == DIGEST
    assert only_manifest("x", {"mediaType": MANIFEST, "layers": []}) is None


@pytest.mark.parametrize("entries", [[], [layer(MANIFEST)] * 2, None, "x", [3]])
def test_other_indexes_are_refused(entries: Any) -> None:
    with pytest.raises(ArtifactError) as refused:
        only_manifest("x", {"mediaType": INDEX, "manifests": entries})
    assert refused.value.reason == Reason.UNSUPPORTED_SOURCE


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([DIGEST, INDEX, MANIFEST]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["layers", "manifests", "mediaType", "digest", "size", "annotations"]), inner, max_size=6
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["layers", "manifests", "mediaType"]), _JSON))
def test_any_manifest_is_read_or_refused(manifest: dict[str, Any]) -> None:
    with suppress(ArtifactError):  # and nothing else
        only_manifest("x", manifest)
    with suppress(ArtifactError):
        layers("x", manifest)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(content: bytes) -> None:
    with suppress(ArtifactError):
        parse_manifest("x", content)
