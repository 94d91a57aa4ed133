"""A session of the test's own."""

import pytest

from dev.shell import Shell
from tests.cli.session import Session


@pytest.fixture
def session(kubectl: Shell, namespace: str) -> Session:
    """In an empty namespace."""
    return Session(kubectl, namespace)
