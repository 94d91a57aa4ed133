"""Merge patches: what one makes of an object, and the smallest from one object to another."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunefleet.cli.merge import applied, between

SCALARS = st.one_of(st.integers(), st.text(max_size=3), st.booleans())
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3)),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_patch_leads_from_one_to_the_other(former: dict[str, Any], latest: dict[str, Any]) -> None:
    assert applied(former, between(former, latest)) == latest


@given(OBJECTS)
def test_equal_objects_need_none(value: dict[str, Any]) -> None:
    assert between(value, value) == {}


def test_what_is_the_same_is_left_out() -> None:
    former = {"model": {"name": "tiny", "version": 2}, "engine": {"dtype": "float16", "maxModelLength": 5}}
    latest = {"model": {"name": "tiny", "version": 1}, "engine": {"dtype": "float16"}}
    assert between(former, latest) == {"model": {"version": 1}, "engine": {"maxModelLength": None}}


def test_null_takes_away_and_lists_are_replaced() -> None:
    assert applied({"a": 1, "b": [1, 2], "c": {"d": 1}}, {"a": None, "b": [3], "c": {"e": 2}}) == {
        "b": [3],
        "c": {"d": 1, "e": 2},
    }
