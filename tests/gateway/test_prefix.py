"""Prompts that begin alike have one point, whatever else the bodies hold."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunefleet.gateway.prefix import FAR_BYTES, NEAR_BYTES, PREFIX_BYTES, point_of_prefix

NAME = "support-de@v4-1f3a9c2e"
LONG = "You are a helpful assistant of the municipal waterworks. " * 30


def point(body: dict[str, Any], name: str = NAME) -> int:
    return point_of_prefix(json.dumps(body).encode(), name)


def chat(*contents: str, **more: Any) -> dict[str, Any]:
    return {"model": "support-de", **more, "messages": [{"role": "user", "content": text} for text in contents]}


def test_the_same_in_every_process() -> None:
    """What other gateways compute: this changes only with the hash itself."""
    assert point_of_prefix(b'{"model":"x","prompt":"Hello"}', NAME) == 2385226046


def test_a_conversation_keeps_its_point_while_it_grows() -> None:
    assert point(chat(LONG)) == point(chat(LONG, "And now?")) == point(chat(LONG, "And now?", "Still there?"))
    assert point(chat(LONG)) != point(chat("Other " + LONG))


def test_what_stands_before_the_prompt_says_nothing() -> None:
    assert point(chat(LONG)) == point(chat(LONG, temperature=0.3, user="someone"))
    far = chat(LONG, tools=["x" * NEAR_BYTES])
    assert point(chat(LONG)) == point(far)


def test_every_kind_of_prompt() -> None:
    for field in ("prompt", "input", "system"):
        points = {point({"model": "x", "n": n, field: LONG}) for n in range(5)}
        assert len(points) == 1
        assert points != {point({"model": "x", field: "Other " + LONG})}


def test_versions_have_points_of_their_own() -> None:
    assert point(chat(LONG)) != point(chat(LONG), "support-de@v5-00000000")


def test_the_field_is_not_looked_for_without_end() -> None:
    one, two = ({"model": "x", "n": n, "pad": "x" * FAR_BYTES, "prompt": LONG} for n in (1, 2))
    assert point(one) != point(two)


@given(st.binary(max_size=64))
def test_any_bytes_have_a_point(body: bytes) -> None:
    assert 0 <= point_of_prefix(body, NAME) < 2**32


@given(st.text(min_size=PREFIX_BYTES, max_size=PREFIX_BYTES), st.text(max_size=64), st.text(max_size=64))
def test_only_the_beginning_counts(beginning: str, one: str, other: str) -> None:
    assert point(chat(beginning + one)) == point(chat(beginning + other))
