"""May the pod take traffic? The engine answered a completion, and what it was to hold when it came up is settled."""

from collections.abc import Callable, Iterable

from tunefleet.engine.adapters_api import AdaptersReport, AdapterState

SETTLED = frozenset({AdapterState.LOADED, AdapterState.FAILED})
"""A failed adapter must not keep the others from serving."""


class Readiness:
    """Remembers, for each engine start, which adapters were desired when it came up."""

    def __init__(self, desired: Callable[[], Iterable[str]]) -> None:
        self._desired = desired
        self._start = 0
        self._awaited: frozenset[str] = frozenset()

    def ready(self, report: AdaptersReport) -> bool:
        """Whether the report says that traffic may come."""
        if not report.engine.ready:
            return False
        if report.engine.starts != self._start:
            self._start, self._awaited = report.engine.starts, frozenset(self._desired())
        self._awaited &= frozenset(self._desired())
        states = {adapter.engine_name: adapter.state for adapter in report.adapters}
        self._awaited = frozenset(name for name in self._awaited if states.get(name) not in SETTLED)
        return not self._awaited
