"""What kopf is asked for, and what it must never do."""

import ast
from pathlib import Path
from typing import Any

import pytest

import tunefleet.handlers
from tests.reconcile.objects import base_model
from tunefleet.handlers.leading import LEASE_NAME, watches
from tunefleet.handlers.wiring import _deleted, _heartbeat, _observed, build_registry, build_settings
from tunefleet.reconcile.watched import WATCHED


class Sink:
    """Remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def observe(self, obj: dict[str, Any]) -> None:
        self.calls.append(("observe", obj))

    def deleted(self, obj: dict[str, Any]) -> None:
        self.calls.append(("deleted", obj))

    def lease_seen(self, lease: dict[str, Any]) -> None:
        self.calls.append(("lease", lease))

    def lease_listed(self) -> None:
        self.calls.append(("listed", None))


def test_every_watched_kind_is_indexed_and_listened_to() -> None:
    registry = build_registry(Sink())
    listened = {handler.selector.any_name for handler in registry._watching.get_all_handlers() if handler.selector}
    indexed = {handler.selector.any_name for handler in registry._indexing.get_all_handlers() if handler.selector}
    assert listened - indexed == {"leases"}
    assert len(indexed) == len(WATCHED)


def test_there_is_no_handler_that_keeps_state_in_objects() -> None:
    """Those of create, update, delete, timers and daemons add annotations or finalizers."""
    registry = build_registry(Sink())
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()


def test_kopf_writes_nothing_of_its_own() -> None:
    settings = build_settings(LEASE_NAME)
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled


def test_children_and_pods_are_asked_for_by_label_and_the_lease_by_name() -> None:
    settings = build_settings(LEASE_NAME)
    labels = settings.watching.label_selectors
    assert labels["", "v1", "pods"] == labels["apps", "v1", "deployments"] == "app.kubernetes.io/managed-by=tunefleet"
    assert ("", "v1", "nodes") not in labels
    assert list(settings.watching.field_selectors.values()) == [f"metadata.name={LEASE_NAME}"]


def test_as_many_watches_as_kinds_and_namespaces() -> None:
    assert watches(()) == len(WATCHED) + 1
    assert watches(("a", "b")) == 2 * len(WATCHED) + 1  # nodes have no namespace, the Lease is one more kind


async def test_events_become_plain_objects() -> None:
    sink = Sink()
    listed = {key: value for key, value in base_model().items() if key not in {"kind", "apiVersion"}}
    await _observed(sink.observe, "BaseModel", body=listed)  # type: ignore[arg-type]  # kopf's Body is a mapping
    await _deleted(sink.deleted, "BaseModel", event={"type": "DELETED", "object": listed})  # type: ignore[typeddict-item]
    await _deleted(sink.deleted, "BaseModel", event={"type": "MODIFIED", "object": listed})  # type: ignore[typeddict-item]
    assert sink.calls == [("observe", base_model()), ("deleted", base_model())]


async def test_a_second_list_is_told_from_a_watch_that_goes_on() -> None:
    sink = Sink()
    lease = base_model()
    await _heartbeat(sink, event={"type": "MODIFIED", "object": lease})  # type: ignore[typeddict-item]
    await _heartbeat(sink, event={"type": None, "object": lease})  # type: ignore[typeddict-item]
    assert [name for name, _ in sink.calls] == ["lease", "lease", "listed"]


async def test_an_error_while_an_event_is_taken_in_is_logged_and_kept_from_kopf(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_obj: dict[str, Any]) -> None:
        raise ZeroDivisionError("a bug")

    await _observed(broken, "BaseModel", body=base_model())  # type: ignore[arg-type]
    assert "event of BaseModel chat was not taken in" in caplog.text


def test_handlers_stay_wiring() -> None:
    """Decisions and writes live below; a handler is a few lines."""
    for path in Path(tunefleet.handlers.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.AsyncFunctionDef) and function.name.startswith("_") and path.stem == "wiring":
                assert function.end_lineno is not None
                assert function.end_lineno - function.lineno <= 15, f"{path.name}: {function.name}"
