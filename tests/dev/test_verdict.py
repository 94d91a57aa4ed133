"""The demo's verdict can fail: each kind of bad answer is counted as what it is."""

import pytest

from dev.bench.figures import percentile
from dev.demo.load import Answer, Question
from dev.demo.verdict import Verdict, came_late, judge

EXPECTED = {"german@v1": {"?": "Ja."}, "german@v2": {"?": "Kartoffel."}}


def _answer(exact: str = "german@v1-0a1b2c3d", text: str = "Ja.", **changes: object) -> Answer:
    whole: dict[str, object] = {"started": 0.0, "ended": 1.0, "finished": True, **changes}
    return Answer(Question("german", "?"), exact_version=exact, text=text, **whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (_answer(), Verdict(1, failed=0, wrong=0, broken_streams=0)),
        (_answer("german@v2-ffffffff", "Kartoffel."), Verdict(1, 0, 0, 0)),
        (_answer("german@v2-ffffffff"), Verdict(1, 0, wrong=1, broken_streams=0)),
        (_answer("pirate@v1-0a1b2c3d"), Verdict(1, 0, wrong=1, broken_streams=0)),
        (_answer("german@v9-0a1b2c3d"), Verdict(1, 0, wrong=1, broken_streams=0)),
        (_answer("", "", error="NotFoundError", finished=False), Verdict(1, failed=1, wrong=0, broken_streams=0)),
        (_answer(stream=True, finished=False), Verdict(1, 0, 0, broken_streams=1)),
        (_answer(stream=True, finished=False, error="cut"), Verdict(1, 0, 0, broken_streams=1)),
        (_answer("", "", stream=True, finished=False, error="refused"), Verdict(1, 1, 0, 0)),
    ],
    ids=["right", "right of another version", "other weights", "other model", "unknown version", "refused",
         "stream without end", "stream cut", "stream refused"],
)  # fmt: skip
def test_each_answer_is_counted_as_what_it_is(answer: Answer, verdict: Verdict) -> None:
    assert judge([answer], EXPECTED) == verdict


def test_answers_of_the_former_version_count_only_for_requests_that_began_after_the_change() -> None:
    early, late = _answer("german@v2-ffffffff", started=1.0), _answer("german@v2-ffffffff", started=3.0)
    assert came_late([early, late, _answer(started=4.0)], "german@v1", since=2.0) == [late]


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([3.0, 1.0], 50) == 1.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
