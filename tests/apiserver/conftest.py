"""Fixtures of the tests against a real API server."""

import pytest

from dev.shell import Shell

from .user import User


@pytest.fixture
def user(kubectl: Shell, namespace: str) -> User:
    """A user with a namespace of their own."""
    return User(kubectl, namespace)


@pytest.fixture(scope="session")
def anyone(kubectl: Shell) -> User:
    """A user who stores nothing: for dry runs."""
    return User(kubectl, "default")
