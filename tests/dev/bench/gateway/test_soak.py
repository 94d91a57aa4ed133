"""The soak itself, for some seconds: a real gateway process, engines that are killed and drained, every request
accounted for."""

from dev.bench.gateway import ours
from dev.bench.gateway.processes import folder
from dev.bench.gateway.soak import compare, soak
from dev.locks import alone

SECONDS = 20.0

METRICS = """
# TYPE tunefleet_gateway_requests_total counter
tunefleet_gateway_requests_total{model="a",version="v1",code="2xx"} 2
tunefleet_gateway_requests_total{model="b",version="v1",code="2xx"} 1
tunefleet_gateway_requests_total{model="b",version="v1",code="broken"} 1
# TYPE tunefleet_gateway_refused_requests_total counter
tunefleet_gateway_refused_requests_total{reason="rate_limited"} 1
# TYPE tunefleet_gateway_requests_in_flight gauge
tunefleet_gateway_requests_in_flight{model="a",version="v1"} 1
"""


async def test_every_request_is_accounted_for() -> None:
    with alone(folder("soak") / "lock", "another soak runs"):
        figures = await soak(SECONDS / 60, ours.SOURCE)
    assert figures["failed"] == []
    assert figures["sent"] == sum(figures["results"].values()) > 0
    assert figures["done"].keys() >= {"promote", "kill"}


def test_metrics_are_held_against_the_trail() -> None:
    trail = [{"outcome": "2xx"}] * 3 + [{"outcome": "broken"}, {"refusal": "rate_limited"}]
    compared = compare(METRICS, trail)
    assert compared["2xx"] == [3, 3]
    assert compared["broken"] == [1, 1]
    assert compared["refused"] == [1, 1]
    assert compared["requests_in_flight"] == [1, 0], "a request that never ends is no equal pair"
