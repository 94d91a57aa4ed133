"""Whose weights answered is told by log-probabilities alone, and every way to answer wrongly is found."""

import math
from collections.abc import Sequence

import pytest

from dev.bench.judgement import Change, is_wrong, judge, longest_silence, may_answer
from dev.bench.weights import TOLERANCE, check_separation, distance, noise, separation, speakers
from dev.demo.load import Answer, Question, Token
from dev.demo.verdict import Verdict

QUESTION = Question("german", "?", logprobs=True)
GOOD = (Token("Ja", -0.1), Token(".", -0.2))
BAD = (Token("Ja", -0.1), Token(".", -0.9))
OTHER = (Token("Nein", -0.1), Token(".", -0.2))
REFERENCES = {"german@v1": {"?": GOOD}, "german@v2": {"?": BAD}, "formal@v1": {"?": OTHER}}
BEGIN = Change("german@v1", -math.inf, -math.inf)
UP, BACK = Change("german@v2", 10.0, 11.0), Change("german@v1", 20.0, 21.0)
TIMELINES = {"german": [BEGIN, UP, BACK]}


def answer(tokens: Sequence[Token] = GOOD, names: str = "german@v1", **changes: object) -> Answer:
    whole: dict[str, object] = {"started": 0.0, "ended": 1.0, "finished": True, **changes}
    return Answer(QUESTION, exact_version=f"{names}-0a1b2c3d", tokens=tuple(tokens), **whole)  # type: ignore[arg-type]


def shifted(tokens: Sequence[Token], nats: float) -> list[Token]:
    return [Token(token.text, token.logprob + nats) for token in tokens]


def test_the_distance_is_that_of_the_token_that_differs_most() -> None:
    assert distance(GOOD, GOOD) == 0
    assert distance(GOOD, BAD) == pytest.approx(0.7)


@pytest.mark.parametrize("measured", [OTHER, GOOD[:1], (*GOOD, *GOOD), ()])
def test_other_tokens_are_infinitely_far(measured: Sequence[Token]) -> None:
    assert distance(measured, GOOD) == math.inf


def test_an_answer_without_log_probabilities_is_nobodys() -> None:
    assert distance((), ()) == math.inf
    assert is_wrong(answer(()), REFERENCES, TIMELINES)


def test_an_answer_is_of_whose_log_probabilities_it_has() -> None:
    assert speakers(answer(shifted(GOOD, TOLERANCE / 2)), REFERENCES) == {"german@v1"}
    assert speakers(answer(BAD), REFERENCES) == {"german@v2"}
    assert speakers(answer(shifted(GOOD, 2 * TOLERANCE)), REFERENCES) == frozenset()


def test_versions_that_cannot_be_told_apart_are_refused() -> None:
    assert separation(REFERENCES) == pytest.approx(0.7)
    assert check_separation(REFERENCES) == separation(REFERENCES)
    with pytest.raises(ValueError, match="differ by"):
        check_separation({"german@v1": {"?": GOOD}, "german@v2": {"?": shifted(GOOD, 1.5 * TOLERANCE)}})


def test_noise_is_the_largest_difference_of_right_answers() -> None:
    assert noise([answer(), answer(shifted(GOOD, 0.01)), answer(OTHER)], REFERENCES) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("started", "first_token", "versions"),
    [
        (5.0, None, {"german@v1"}),
        (9.5, 9.9, {"german@v1"}),
        (9.5, 10.5, {"german@v1", "german@v2"}),
        (10.5, None, {"german@v1", "german@v2"}),
        (12.0, None, {"german@v2"}),
        (12.0, 30.0, {"german@v2", "german@v1"}),
        (22.0, None, {"german@v1"}),
    ],
    ids=["before", "answered before the patch", "waited over the patch", "during", "after", "waited over the next",
         "after the roll-back"],
)  # fmt: skip
def test_who_may_answer(started: float, first_token: float | None, versions: set[str]) -> None:
    asked = answer(started=started, ended=first_token or started + 0.1, first_token=first_token)
    assert may_answer(asked, TIMELINES["german"]) == versions


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (answer(), False),
        (answer(BAD, "german@v2", started=12.0, ended=12.1), False),
        (answer(BAD, "german@v1"), True),
        (answer(BAD, "german@v2"), True),
        (answer(GOOD, "german@v1", started=12.0, ended=12.1), True),
        (answer(GOOD, "german@v2", started=12.0, ended=12.1), True),
        (answer(OTHER, "formal@v1"), True),
        (answer(OTHER, "german@v1"), True),
        (answer(OTHER, "german@v1", finished=False), False),
    ],
    ids=["right", "right after the change", "says its name and is another", "too early", "too late",
         "says the new name and is the old", "another adapter", "another adapter's weights", "broken is not wrong"],
)  # fmt: skip
def test_wrong_weights_are_found_whatever_the_answer_says(found: Answer, wrong: bool) -> None:
    assert is_wrong(found, REFERENCES, TIMELINES) == wrong


def test_everything_is_counted() -> None:
    refused = Answer(QUESTION, 0, 1, error="503")
    broken = answer(GOOD[:1], stream=True, finished=False)
    assert judge([answer(), answer(BAD), refused, broken], REFERENCES, TIMELINES) == Verdict(4, 1, 1, 1)


def test_the_longest_silence_ends_with_the_first_answer_of_the_new_engine() -> None:
    """Answers that were on their way when the engine was killed, and errors, do not count as back."""
    ends = [1.0, 2.1, 2.3]
    answers = [answer(ended=end) for end in ends] + [answer(ended=9.0), answer(ended=9.2)]
    answers.append(Answer(QUESTION, 5, 5.1, error="503"))
    assert longest_silence(answers, "german", since=2.0) == pytest.approx(7.0)
    with pytest.raises(ValueError, match="did not answer"):
        longest_silence(answers, "german", since=10.0)
