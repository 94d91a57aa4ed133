"""A request that went wrong is excused only by a kill of its very engine, and only if the trail tells the same."""

from typing import Any

import pytest

from dev.bench.gateway.accounting import ANSWERED, BROKEN, LEFT, REFUSED, UNANSWERED, Kill, Sent, account, trend

POD = "fleet/engine-0"
KILL = Kill(POD, 10.5)


def sent(result: str, status: int = 200, **fields: Any) -> Sent:
    return Sent("a", "plain", result, status, began=10.0, ended=11.0, **fields)


def line(**fields: Any) -> dict[str, Any]:
    return {"request_id": "a", "status": 200, "outcome": "2xx", "pod": POD} | fields


BROKE = line(outcome="broken")
REFUSAL = line(status=503, outcome="", refusal="no_engine")


@pytest.mark.parametrize(
    ("one", "trail"),
    [
        (sent(ANSWERED), [line()]),
        (sent(BROKEN), [BROKE]),
        (sent(REFUSED, 429, expected=(429,)), [line(status=429, outcome="", refusal="rate_limited")]),
        (sent(REFUSED, 503), [REFUSAL]),
        (sent(LEFT), [line(outcome="disconnected")]),
        (sent(LEFT), [line()]),
        (sent(LEFT, 0), []),
    ],
)
def test_accounted_for(one: Sent, trail: list[dict[str, Any]]) -> None:
    found = account([one], trail, [KILL])
    assert (found.unexplained, found.disagreeing) == ([], [])
    assert found.results == {one.result: 1}


@pytest.mark.parametrize(
    ("one", "trail", "kills"),
    [
        (sent(BROKEN), [BROKE], []),
        (sent(BROKEN), [BROKE], [Kill("fleet/engine-1", 10.5)]),
        (sent(BROKEN), [BROKE], [Kill(POD, 7.0)]),
        (sent(BROKEN), [BROKE], [Kill(POD, 11.5)]),
        (sent(REFUSED, 429), [line(status=429, outcome="", refusal="rate_limited")], []),
        (sent(UNANSWERED, 0), [BROKE], [KILL]),
    ],
)
def test_not_explained(one: Sent, trail: list[dict[str, Any]], kills: list[Kill]) -> None:
    assert len(account([one], trail, kills).unexplained) == 1


@pytest.mark.parametrize(
    ("one", "trail"),
    [
        (sent(ANSWERED), []),
        (sent(ANSWERED), [line(), line()]),
        (sent(ANSWERED), [BROKE]),
        (sent(ANSWERED), [line(status=206)]),
        (sent(BROKEN), [line()]),
        (sent(LEFT), []),
        (sent(ANSWERED), [line(), line(request_id="b")]),
    ],
)
def test_told_otherwise(one: Sent, trail: list[dict[str, Any]]) -> None:
    assert len(account([one], trail, [KILL]).disagreeing) == 1


def test_a_trend_leaves_out_the_warm_up() -> None:
    samples = [(float(n), 50e6 if n < 20 else 60e6) for n in range(100)]
    found = trend(samples)
    assert (found.first_mb, found.last_mb) == (60.0, 60.0)
    assert found.mb_per_hour == pytest.approx(0.0)


def test_growth_is_seen() -> None:
    found = trend([(float(n), 50e6 + n * 1e4) for n in range(100)])
    assert found.mb_per_hour == pytest.approx(36.0)
    assert found.last_mb > found.first_mb


def test_few_samples_are_no_trend() -> None:
    with pytest.raises(ValueError, match="ten"):
        trend([(0.0, 1.0)] * 9)
