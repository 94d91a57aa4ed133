"""Where going back leads, from the objects alone."""

from typing import Any

import pytest

from tests.cli.objects import adapter, adapter_status
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.cli.errors import CommandError
from tunefleet.cli.rollback import version_before, version_for

TIME = "2026-11-21T12:00:00Z"


def served(active: int, serving: int | None, *moves: tuple[int | None, int], **spec: Any) -> LoRAAdapter:
    """An adapter whose serving version moved so."""
    manifest = adapter(active=active, **spec)
    manifest["metadata"]["namespace"] = "ml"
    history = [{"time": TIME, "to": to, "cause": "x"} | ({"from": former} if former else {}) for former, to in moves]
    status = {"history": history} | ({"servingVersion": serving} if serving else {})
    return LoRAAdapter.read({**manifest, "status": {**adapter_status(), **status} if serving else status})


def test_the_version_before_is_what_served_before() -> None:
    assert version_before(served(3, 3, (None, 1), (1, 3))) == 1
    assert version_before(served(1, 1, (None, 1), (1, 3), (3, 1))) == 3


def test_while_another_is_on_its_way_it_is_what_serves() -> None:
    assert version_before(served(3, 2, (None, 1), (1, 2))) == 2


def test_the_first_version_has_none_before() -> None:
    with pytest.raises(CommandError, match="no version of lora/german served before: name one by --to"):
        version_before(served(1, 1, (None, 1)))


BASES = {1: 1, 2: 1, 3: 2}


def test_an_adapter_goes_along_to_the_version_that_last_served_on_that_base() -> None:
    assert version_for(served(3, 3, (None, 1), (1, 2), (2, 3), bases=BASES), 1) == 2


def test_an_adapter_that_is_there_already_or_serves_nowhere_stays() -> None:
    assert version_for(served(2, 3, (None, 2), (2, 3), bases=BASES), 1) is None
    assert version_for(served(3, None, bases=BASES), 1) is None


def test_an_adapter_that_never_served_on_that_base_is_told() -> None:
    with pytest.raises(CommandError, match="lora/german never served on base version 1: add a version for it"):
        version_for(served(3, 3, (None, 3), bases=BASES), 1)
