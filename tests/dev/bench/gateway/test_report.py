"""Figures come from medians, and ratios are ours divided by theirs."""

import pytest

from dev.bench.gateway.measure import DIRECT, Latency, Sample
from dev.bench.gateway.native import Outcome
from dev.bench.gateway.report import added_p99, micros, ratios, spread


def outcome(ok: int = 100, events: int = 0, p99: float = 0.0, sent: int | None = None) -> Outcome:
    return Outcome(ok if sent is None else sent, ok, 0, 0, 0, events, 0, 1.0, p99, p99, p99)


def sample(name: str, cpu: float, point: str = "c32", **fields: int) -> Sample:
    return Sample(name, point, point == "paced", cpu, outcome(**fields))


def test_cpu_time_is_divided_by_what_the_load_is_made_of() -> None:
    assert sample("ours", 0.002).micros == pytest.approx(20)
    assert sample("ours", 0.002, events=3).micros == pytest.approx(20), "events in an answer that is no stream"
    assert sample("ours", 0.0065, "paced", ok=1, events=65).micros == pytest.approx(100)


def test_a_sample_is_whole_when_everything_was_answered_with_all_events() -> None:
    assert sample("ours", 1).whole
    assert not sample("ours", 1, sent=101).whole
    assert sample("ours", 1, "paced", ok=2, events=130).whole
    assert not sample("ours", 1, "paced", ok=2, events=129).whole


def test_ratios_are_of_medians() -> None:
    samples = [sample("ours", 0.003), sample("ours", 0.001), sample("ours", 0.002), sample("nginx", 0.001)]
    spreads = {name: spread(micros(samples, name, ("c32",))) for name in ("ours", "nginx")}
    assert spreads["ours"] == pytest.approx({"min": 10, "median": 20, "max": 30})
    assert ratios(spreads) == pytest.approx({"nginx": 2})
    assert ratios({"nginx": spreads["nginx"]}) == {}


def test_added_latency_is_what_the_engine_alone_does_not_take() -> None:
    seen = [(DIRECT, 0.001), (DIRECT, 0.002), (DIRECT, 0.009), ("ours", 0.003), ("ours", 0.004), ("ours", 0.02)]
    added = added_p99([Latency(name, number % 3, outcome(p99=p99)) for number, (name, p99) in enumerate(seen)])
    assert added["ours"]["median"] == pytest.approx(0.002)
