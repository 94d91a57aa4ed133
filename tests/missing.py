"""What a machine lacks skips tests, with the words that help; in continuous integration (CI=true) that is a failure."""

import os
from typing import NoReturn

import pytest


def without(reason: str) -> NoReturn:
    """End the test."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
