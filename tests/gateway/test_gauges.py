"""Breakers and the certificate, in metrics and in the table for people."""

from pathlib import Path

from tests.gateway.certificates import Mounted
from tests.gateway.harness import engine, gateway
from tests.gateway.records import value
from tunefleet.gateway.breaker import FAILURES, Breaker
from tunefleet.gateway.describe import describe
from tunefleet.gateway.gauges import add_gauges
from tunefleet.gateway.health import REFUSED
from tunefleet.gateway.tls import Tls
from tunefleet.plan.facts import Key

ENDPOINT = Key("ns", "endpoint")


async def test_breakers() -> None:
    async with gateway() as front:
        breaker = front.state.fallbacks.breakers[ENDPOINT] = Breaker()
        add_gauges(front.state, None)
        labels = {"namespace": "ns", "endpoint": "endpoint"}
        assert value(front.state.metrics, "tunefleet_gateway_breaker_open", **labels) == 0
        for _ in range(FAILURES):
            breaker.note(False, front.state.clock(), "m")
        assert value(front.state.metrics, "tunefleet_gateway_breaker_open", **labels) == 1
        assert describe(front.state)["breakers"] == {"ns/endpoint": "open"}


async def test_the_certificate(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path)
    mounted.put(*mounted.authority.pair())
    async with gateway() as front:
        tls = Tls(mounted.files)
        add_gauges(front.state, tls)
        ends = value(front.state.metrics, "tunefleet_gateway_certificate_expiry_timestamp_seconds")
        assert ends == tls.expires.timestamp()


async def test_a_pod_that_is_out_is_shown_with_its_reason() -> None:
    async with engine() as at, gateway(at) as front:
        (pod,) = front.state.pods()
        assert describe(front.state)["pods"]["ns/engine-0"]["ejected"] is None
        pod.health.refused(front.state.clock())
        assert describe(front.state)["pods"]["ns/engine-0"]["ejected"]["why"] == REFUSED
        assert value(front.state.metrics, "tunefleet_gateway_ejections_total", reason=REFUSED) == 1
