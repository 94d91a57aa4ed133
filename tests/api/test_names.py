"""Names: pinned, because clusters and clients hold them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api import names

LITERALS = {
    "GROUP": "tunefleet.io",
    "API_VERSION_NAME": "v1alpha1",
    "API_VERSION": "tunefleet.io/v1alpha1",
    "FIELD_MANAGER": "tunefleet",
    "STATUS_FIELD_MANAGER": "tunefleet-status",
    "LABEL_ENDPOINT": "tunefleet.io/endpoint",
    "LABEL_REVISION": "tunefleet.io/revision",
    "LABEL_BASE_MODEL": "tunefleet.io/base-model",
    "LABEL_BASE_VERSION": "tunefleet.io/base-model-version",
    "LABEL_INSPECTED_KIND": "tunefleet.io/inspected-kind",
    "LABEL_INSPECTED_NAME": "tunefleet.io/inspected-name",
    "LABEL_INSPECTED_VERSION": "tunefleet.io/inspected-version",
    "ANNOTATION_APPLIED": "tunefleet.io/applied",
    "ANNOTATION_ENGINE_NAME": "tunefleet.io/engine-name",
    "COMPONENT": "app.kubernetes.io/component",
    "MANAGED_BY": "app.kubernetes.io/managed-by",
    "MANAGER": "tunefleet",
    "GATEWAY_ACCOUNT": "tunefleet-gateway",
    "KEYS_NAMESPACE": "tunefleet-keys",
    "ENGINE_PORT": 8000,
    "AGENT_PORT": 8001,
    "MAX_NAME": 63,
}
DIGEST = "sha256:1f3a9c2e" + "0" * 56
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

object_names = st.from_regex(OBJECT_NAME, fullmatch=True).filter(lambda name: len(name) <= 63)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


def test_literals_are_pinned() -> None:
    """Another value orphans what is in clusters: change one with a migration, and then this list."""
    assert {name: value for name, value in vars(names).items() if name.isupper()} == LITERALS


def test_engine_name() -> None:
    assert names.engine_name("support-de", 4, DIGEST) == "support-de@v4-1f3a9c2e"


def test_version_name() -> None:
    assert names.version_name("support-de", 4) == "support-de@v4"


@given(served=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", fullmatch=True), version=st.integers(1, 10**6))
def test_engine_name_can_be_taken_apart(served: str, version: int) -> None:
    """No two versions share one: served names have no `@`."""
    name = names.engine_name(served, version, DIGEST)
    assert name.startswith(names.version_name(served, version) + "-")
    assert name.rpartition("@") == (served, "@", f"v{version}-1f3a9c2e")


@given(digest=digests)
def test_digest_hex(digest: str) -> None:
    assert f"sha256:{names.digest_hex(digest)}" == digest


@pytest.mark.parametrize("text", ["", "sha256:", "md5:" + "0" * 64, "sha256:" + "A" * 64, DIGEST + "\n", " " + DIGEST])
def test_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match="not a sha256 digest"):
        names.digest_hex(text)


def test_short_names_are_joined() -> None:
    assert names.child_name("endpoint", "engine") == "endpoint-engine"


@given(parts=st.lists(object_names, min_size=1, max_size=4))
def test_child_name_is_a_name(parts: list[str]) -> None:
    """Of at most 63 characters, whatever it is made of, and the same each time."""
    name = names.child_name(*parts)
    assert len(name) <= names.MAX_NAME
    assert OBJECT_NAME.fullmatch(name)
    assert name == names.child_name(*parts)


@given(head=object_names, one=st.integers(0, 2**32), other=st.integers(0, 2**32))
def test_long_names_stay_apart(head: str, one: int, other: int) -> None:
    """Even where they differ in what is cut off."""
    tails = [f"{head}{'x' * 63}-{number}" for number in (one, other)]
    assert (names.child_name(head, tails[0]) == names.child_name(head, tails[1])) == (one == other)
