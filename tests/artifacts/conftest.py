"""Retries without their pauses."""

from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True)
def quick_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield
