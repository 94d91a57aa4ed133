"""A control plane of these tests' own."""

import uuid
from collections.abc import Iterator

import pytest

from tests.handlers.control_plane import ControlPlane, control_plane


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One for all tests here; its API server knows the three kinds and the chart's roles."""
    with control_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture
def place(plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own, emptied afterwards: served names are unique in a cluster."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", name)
    yield name
    plane.remove(name)
