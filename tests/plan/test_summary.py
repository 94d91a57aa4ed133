"""The three conditions: what kstatus, Argo CD, `kubectl wait` and a pager read."""

from datetime import timedelta

import pytest

from tests.plan.fleet import START, standing
from tunefleet.api.conditions import Reason
from tunefleet.plan.finding import Finding
from tunefleet.plan.summary import Obstacle, conditions, failing, refused, summarize, working

SERVING = Finding(Reason.SERVING, "v1 answers")
CASES: list[tuple[Obstacle | None, Finding | None, dict[str, tuple[str, str]]]] = [
    (None, SERVING, {"Ready": ("True", "Serving")}),
    (
        working(Reason.LOADING, "x"),
        SERVING,
        {"Ready": ("Unknown", "Loading"), "Reconciling": ("True", "Loading")},
    ),
    (working(Reason.LOADING, "x"), None, {"Ready": ("Unknown", "Loading"), "Reconciling": ("True", "Loading")}),
    (
        failing(Finding(Reason.CRASH_LOOP, "x")),
        SERVING,
        {"Ready": ("Unknown", "CrashLoop"), "Reconciling": ("True", "CrashLoop")},
    ),
    (
        failing(Finding(Reason.CRASH_LOOP, "x")),
        None,
        {"Ready": ("False", "CrashLoop"), "Reconciling": ("True", "CrashLoop")},
    ),
    (
        refused(Reason.WRONG_BASE, "x"),
        SERVING,
        {"Ready": ("True", "Serving"), "Stalled": ("True", "WrongBase")},
    ),
    (refused(Reason.WRONG_BASE, "x"), None, {"Ready": ("False", "WrongBase"), "Stalled": ("True", "WrongBase")}),
]


@pytest.mark.parametrize(("obstacle", "answered", "expected"), CASES)
def test_the_rule(obstacle: Obstacle | None, answered: Finding | None, expected: dict[str, tuple[str, str]]) -> None:
    found = conditions((), summarize(obstacle, answered), generation=3, now=START)
    assert standing(found) == expected
    assert {c.observed_generation for c in found} == {3}


def test_nothing_answered_and_nothing_in_the_way_is_a_forgotten_case() -> None:
    with pytest.raises(ValueError, match="neither"):
        summarize(None, None)


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = conditions((), summarize(working(Reason.LOADING, "x"), None), generation=1, now=START)
    later = START + timedelta(minutes=5)
    second = conditions(first, summarize(working(Reason.PROGRESSING, "y"), None), generation=2, now=later)
    assert [c.last_transition_time for c in second] == [c.last_transition_time for c in first]
    third = conditions(second, summarize(None, SERVING), generation=2, now=later)
    assert [c.last_transition_time for c in third] == ["2026-11-21T12:05:00Z"]
