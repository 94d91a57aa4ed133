"""Figures of an adapter: what they are read from, and what they say."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.conditions import Reason
from tunefleet.engine.fingerprint import (
    FIGURES,
    FLOOR,
    NOISE_FACTOR,
    PROMPTS,
    TOP,
    Figures,
    Reference,
    distance,
    engine_kind,
    judge,
    read_answer,
    request_body,
    tolerance,
)


def figures(value: float) -> Figures:
    return (value,) * FIGURES


BASE, GERMAN, PIRATE = figures(-1), figures(-2), figures(-3)
REFERENCE = Reference("kind", BASE, 0.1)
values = st.lists(st.floats(-50, 0), min_size=FIGURES, max_size=FIGURES).map(tuple)


def answer(**changes: Any) -> dict[str, Any]:
    top = {f"token_id:{token}": -float(token) - 1 / 3 for token in range(TOP)}
    choices = [{"index": n, "logprobs": {"top_logprobs": [dict(top)]}} for n in range(len(PROMPTS))]
    return {"choices": choices, **changes}


def test_one_request_with_all_prompts_and_nothing_left_to_chance() -> None:
    body = request_body("german@v1-00000000", "salt")
    assert body["prompt"] == list(PROMPTS)
    assert (body["max_tokens"], body["temperature"], body["cache_salt"]) == (1, 0, "salt")
    assert not {"prompt_logprobs", "echo"} & body.keys(), "an engine that serves adapters beside it would die of them"


def test_figures_come_in_the_order_of_prompts_and_of_their_size_rounded() -> None:
    turned = answer(choices=list(reversed(answer()["choices"])))
    assert read_answer(turned) == read_answer(answer())
    assert read_answer(answer())[:2] == (-0.3333, -1.3333)
    assert len(read_answer(answer())) == FIGURES


def test_a_token_more_than_asked_for_changes_nothing() -> None:
    """vLLM adds the sampled token when it is not among the highest."""
    more = answer()
    more["choices"][0]["logprobs"]["top_logprobs"][0]["token_id:900"] = -30.0
    assert read_answer(more) == read_answer(answer())


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{"index": n, "logprobs": None} for n in range(len(PROMPTS))]},
        {"choices": [{"index": n, "logprobs": {"top_logprobs": []}} for n in range(len(PROMPTS))]},
        {"choices": [{"index": n, "logprobs": {"top_logprobs": [{"a": -1.0}]}} for n in range(len(PROMPTS))]},
        {
            "choices": [
                {"index": n, "logprobs": {"top_logprobs": [{str(t): math.nan for t in range(TOP)}]}}
                for n in range(len(PROMPTS))
            ]
        },
    ],
)
def test_answers_that_hold_no_figures(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_answer(broken)


@given(values, values)
def test_distance_is_one(one: Figures, other: Figures) -> None:
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) >= 0


def test_figures_of_another_length_are_infinitely_far() -> None:
    assert distance(BASE, BASE[1:]) == distance((), ()) == math.inf


def test_tolerance_follows_the_noise_of_the_engine_and_has_a_floor() -> None:
    assert tolerance([BASE, BASE]) == tolerance([BASE]) == FLOOR
    assert tolerance([BASE, figures(-1.1), figures(-1.02)]) == pytest.approx(NOISE_FACTOR * 0.1)


def test_a_base_that_answers_now_and_then_with_something_else_is_no_reference() -> None:
    with pytest.raises(ValueError, match="answers to the same prompts differ by 1"):
        tolerance([BASE, BASE, GERMAN])


def test_every_part_of_an_engine_makes_another_kind() -> None:
    parts = {"version": "0.32.0", "base": "tiny@v1-00000000", "options": "dtype=auto", "product": "H200"}
    kinds = {engine_kind(**parts), *(engine_kind(**{**parts, name: "other"}) for name in parts)}
    assert len(kinds) == len(parts) + 1


def test_an_adapter_of_its_own_passes() -> None:
    assert judge(GERMAN, REFERENCE, {"pirate": PIRATE}, None) is None


def test_no_effect() -> None:
    verdict = judge(figures(-1.05), REFERENCE, {"pirate": PIRATE}, None)
    assert verdict is not None
    assert verdict.reason is Reason.NO_EFFECT


def test_anothers_figures_on_a_first_load() -> None:
    verdict = judge(figures(-3.01), REFERENCE, {"pirate": PIRATE, "far": GERMAN}, None)
    assert verdict is not None
    assert verdict.reason is Reason.WRONG_WEIGHTS
    assert "pirate" in verdict.message


@pytest.mark.parametrize(
    ("measured", "whose"), [(PIRATE, "as pirate"), (BASE, "as the base"), (figures(-9), "with other weights")]
)
def test_other_figures_than_the_recorded_ones(measured: Figures, whose: str) -> None:
    verdict = judge(measured, REFERENCE, {"pirate": PIRATE}, GERMAN)
    assert verdict is not None
    assert verdict.reason is Reason.WRONG_WEIGHTS
    assert whose in verdict.message


def test_what_agrees_with_its_record_passes_whoever_else_is_near() -> None:
    assert judge(figures(-2.05), REFERENCE, {"twin": GERMAN}, GERMAN) is None
