"""Following gateways: their pods come and go, answer and fall silent; what they tell is known at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.gateway.fake_api import FakeApi, api_server
from tests.reconcile.fake_gateway import Gateway, serving_demand
from tests.reconcile.objects import SETTINGS
from tunefleet.plan.demand import DemandReport
from tunefleet.plan.facts import Key
from tunefleet.reconcile.gateways import GATEWAY_PODS, Gateways
from tunefleet.reconcile.store import Store

ADDRESS, OTHER = "127.0.79.1", "127.0.79.2"
KEY = Key("system", "gateway-0")
WAITS = {"namespace": "ns", "name": "german", "waiting": 1, "lastAsked": "2026-01-01T00:00:00Z"}


def pod(ip: str = ADDRESS, name: str = "gateway-0", phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "system"}, "status": {"phase": phase, "podIP": ip}}


class World:
    """A store that follows the gateways of an API server's pods."""

    def __init__(self, api: FakeApi, client: Any, port: int) -> None:
        self.api = api
        self.store = Store(SETTINGS)
        self.told: list[tuple[DemandReport | None, DemandReport | None]] = []
        self._changed = asyncio.Event()
        self.gateways = Gateways(self.store, client, self._on_change, port=port)

    def _on_change(self, former: DemandReport | None, latest: DemandReport | None) -> None:
        self.told.append((former, latest))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """The condition holds after some change."""
        async with asyncio.timeout(10):
            while not condition():
                await self._changed.wait()
                self._changed.clear()

    def heard(self, key: Key = KEY) -> bool:
        return self.store.gateways.get(key) is not None


@pytest.fixture
async def world(unused_tcp_port: int) -> AsyncIterator[World]:
    """The watch runs; there is no pod yet."""
    async with api_server("system") as (api, client):
        made = World(api, client, unused_tcp_port)
        running = asyncio.create_task(made.gateways.run())
        yield made
        running.cancel()
        await asyncio.wait((running,))
        await made.gateways.close()


async def test_what_a_gateway_tells_is_known_at_once(world: World, unused_tcp_port: int) -> None:
    gateway = Gateway()
    async with serving_demand(gateway, ADDRESS, unused_tcp_port):
        world.api.put("Pod", pod())
        await world.until(world.heard)
        assert world.store.facts().gateways[KEY] == DemandReport.read(gateway.report)
        await gateway.tell(WAITS)
        await world.until(lambda: len(world.told) == 2)
        (nothing, first), (former, latest) = world.told
        assert (nothing, former) == (None, first)
        assert latest is not None
        assert [adapter.waiting for adapter in latest.adapters] == [1]
    assert world.gateways.followed == 1
    assert world.api.selectors == {GATEWAY_PODS}
    assert world.api.paths == {"/api/v1/namespaces/system/pods"}


async def test_a_gateway_that_has_not_answered_is_known_to_be_unknown(world: World, unused_tcp_port: int) -> None:
    async with serving_demand(Gateway(), OTHER, unused_tcp_port):
        world.api.put("Pod", pod())
        world.api.put("Pod", pod("", "gateway-1"))
        world.api.put("Pod", pod(OTHER, "gateway-2"))
        await world.until(lambda: world.heard(Key("system", "gateway-2")))
    assert world.store.gateways[KEY] is None
    assert world.store.gateways[Key("system", "gateway-1")] is None


async def test_a_gateway_that_falls_silent_is_unknown_until_it_answers_again(
    world: World, unused_tcp_port: int
) -> None:
    async with serving_demand(Gateway(), ADDRESS, unused_tcp_port):
        world.api.put("Pod", pod())
        await world.until(world.heard)
    await world.until(lambda: not world.heard())
    assert world.store.gateways == {KEY: None}
    assert world.told[-1][1] is None
    async with serving_demand(Gateway("another"), ADDRESS, unused_tcp_port):
        await world.until(world.heard)


@pytest.mark.parametrize("end", ["gone", "ended"])
async def test_a_pod_that_goes_takes_its_report_along(world: World, unused_tcp_port: int, end: str) -> None:
    async with serving_demand(Gateway(), ADDRESS, unused_tcp_port):
        world.api.put("Pod", pod())
        await world.until(world.heard)
        if end == "gone":
            world.api.delete("Pod", "gateway-0")
        else:
            world.api.put("Pod", pod(phase="Failed"))
        await world.until(lambda: not world.store.gateways)
    assert world.gateways.followed == 0


async def test_a_pod_with_a_new_address_is_asked_there(world: World, unused_tcp_port: int) -> None:
    gateway = Gateway("second")
    async with (
        serving_demand(Gateway(), ADDRESS, unused_tcp_port),
        serving_demand(gateway, OTHER, unused_tcp_port),
    ):
        world.api.put("Pod", pod())
        await world.until(world.heard)
        world.api.put("Pod", pod(OTHER))
        await world.until(lambda: world.store.gateways.get(KEY) == DemandReport.read(gateway.report))
