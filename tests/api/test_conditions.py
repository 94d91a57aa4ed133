"""Conditions: their transition times, and the words that stand in them."""

import re

import pytest

from tunefleet.api.conditions import Condition, ConditionType, Reason, Status, set_condition
from tunefleet.api.vocabulary import words


def ready(existing: tuple[Condition, ...], status: Status, reason: Reason, now: str) -> tuple[Condition, ...]:
    """Ready set, at generation 2."""
    return set_condition(existing, ConditionType.READY, status, reason, "m", generation=2, now=now)


def test_first() -> None:
    (condition,) = ready((), "Unknown", Reason.LOADING, "noon")
    assert condition.dump() == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Loading",
        "message": "m",
        "lastTransitionTime": "noon",
        "observedGeneration": 2,
    }


def test_another_reason_is_no_transition() -> None:
    (condition,) = ready(ready((), "Unknown", Reason.LOADING, "noon"), "Unknown", Reason.PROGRESSING, "one")
    assert (condition.reason, condition.last_transition_time) == (Reason.PROGRESSING, "noon")


def test_another_status_is_a_transition() -> None:
    (condition,) = ready(ready((), "Unknown", Reason.LOADING, "noon"), "True", Reason.SERVING, "one")
    assert condition.last_transition_time == "one"


def test_other_types_stay() -> None:
    stalled = set_condition((), ConditionType.STALLED, "True", Reason.WRONG_BASE, "m", generation=1, now="noon")
    both = ready(stalled, "False", Reason.WRONG_BASE, "one")
    assert {c.type: c.last_transition_time for c in both} == {"Stalled": "noon", "Ready": "one"}


@pytest.mark.parametrize("vocabulary", [ConditionType, Reason])
def test_every_word_is_documented(vocabulary: type[ConditionType] | type[Reason]) -> None:
    documented = words(vocabulary)
    assert [word.value for word in documented] == [member.value for member in vocabulary]
    for word in documented:
        assert re.fullmatch(r"[A-Z][a-zA-Z]*", word.value)
        assert re.fullmatch(r"[A-Za-z].*[.]", word.meaning)


def test_every_reason_says_with_which_conditions_it_comes() -> None:
    assert all("Ready" in word.group or "Stalled" in word.group for word in words(Reason))
