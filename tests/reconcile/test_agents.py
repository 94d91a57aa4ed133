"""Following agents: long polls, orders, questions, and agents that do not answer."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.reconcile.fake_agent import Agent, serving
from tests.reconcile.objects import SETTINGS, pod
from tunefleet.engine.adapters_api import AdapterState, DesiredAdapter
from tunefleet.plan.credentials import endpoint_credentials
from tunefleet.plan.facts import InspectionRequest, Key
from tunefleet.reconcile.agents import AgentError, Agents, engine_endpoint
from tunefleet.reconcile.store import Store

ADDRESS = "127.0.78.1"
KEY = Key("ns", "pod")
GERMAN = DesiredAdapter(
    engine_name="german@v1-abababab", uri="pvc://models/german", digest="sha256:" + "ab" * 32, rank=8
)


class World:
    """A store with agents, and what they tell."""

    def __init__(self, port: int) -> None:
        self.store = Store(SETTINGS)
        self.changes: asyncio.Queue[Key] = asyncio.Queue()
        self.agents = Agents(self.store, self.changes.put_nowait, port=port)

    async def until(self, condition: Callable[[], bool]) -> None:
        """The condition holds after some change."""
        async with asyncio.timeout(10):
            while not condition():
                await self.changes.get()

    def see(self, version: int = 1, ip: str = ADDRESS, **status: str) -> None:
        """The pod is like this now."""
        self.store.put(pod(version=version, ip=ip, **status))
        self.agents.follow(KEY)


@pytest.fixture
async def world(unused_tcp_port: int) -> AsyncIterator[World]:
    """Nothing is followed yet."""
    made = World(unused_tcp_port)
    yield made
    await made.agents.close()


async def test_reports_come_as_they_change(world: World, unused_tcp_port: int) -> None:
    agent = Agent("chat@v1-abababab")
    async with serving(agent, ADDRESS, unused_tcp_port):
        world.see()
        await world.until(lambda: KEY in world.store.reports)
        await agent.load("formal@v1-cdcdcdcd")
        await world.until(lambda: bool(world.store.reports[KEY].adapters))
    assert world.store.reports[KEY].adapters[0].state is AdapterState.LOADED
    keys = endpoint_credentials(SETTINGS.operator_key, SETTINGS.gateway_key, "ns", "chat")
    assert agent.tokens == {f"Bearer {keys.agent_write_token}"}


async def test_an_order_is_carried_out_and_its_answer_known_at_once(world: World, unused_tcp_port: int) -> None:
    agent = Agent("chat@v1-abababab")
    async with serving(agent, ADDRESS, unused_tcp_port):
        world.see()
        await world.agents.assign(KEY, (GERMAN,))
        assert [adapter.engine_name for adapter in world.store.reports[KEY].adapters] == [GERMAN.engine_name]
    assert agent.held == [GERMAN.dump()]


async def test_a_question_is_answered(world: World, unused_tcp_port: int) -> None:
    async with serving(Agent("chat@v1-abababab"), ADDRESS, unused_tcp_port):
        world.see()
        result = await world.agents.inspect(KEY, InspectionRequest("ns", "pvc://models/german"))
    assert result.adapter is not None
    assert result.adapter.rank == 8


async def test_one_missed_answer_is_forgiven_and_the_second_drops_the_report(
    world: World, unused_tcp_port: int
) -> None:
    async with serving(Agent("chat@v1-abababab"), ADDRESS, unused_tcp_port):
        world.see()
        await world.until(lambda: KEY in world.store.reports)
    await world.until(lambda: KEY not in world.store.reports)
    async with serving(Agent("chat@v1-abababab"), ADDRESS, unused_tcp_port):
        world.see(version=2, message="its agent runs again")
        await world.until(lambda: KEY in world.store.reports)


@pytest.mark.parametrize("end", ["gone", "terminating", "failed"])
async def test_an_ended_pod_is_followed_no_more(world: World, unused_tcp_port: int, end: str) -> None:
    async with serving(Agent("chat@v1-abababab"), ADDRESS, unused_tcp_port):
        world.see()
        await world.until(lambda: KEY in world.store.reports)
        if end == "gone":
            world.store.replace_all("Pod", None, [], "10")
        elif end == "terminating":
            terminating = pod(version=2, ip=ADDRESS)
            terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            world.store.put(terminating)
        else:
            world.store.put(pod(version=2, ip=ADDRESS, phase="Failed"))
        world.agents.follow_all()
        assert KEY not in world.store.reports
        assert world.agents.followed == 0
        with pytest.raises(AgentError, match="no agent any more"):
            await world.agents.assign(KEY, ())


async def test_a_pod_with_a_new_address_is_asked_there(world: World, unused_tcp_port: int) -> None:
    async with serving(Agent("chat@v2-cdcdcdcd"), "127.0.78.2", unused_tcp_port):
        world.see()
        world.see(version=2, ip="127.0.78.2")
        await world.until(lambda: KEY in world.store.reports)
        assert world.store.reports[KEY].engine.name == "chat@v2-cdcdcdcd"


async def test_an_agent_that_refuses_or_is_not_there_is_an_error_with_its_name(
    world: World, unused_tcp_port: int
) -> None:
    world.see()
    with pytest.raises(AgentError, match="agent of ns/pod"):
        await world.agents.assign(KEY, (GERMAN,))
    async with serving(Agent("chat@v1-abababab", refuse=401), ADDRESS, unused_tcp_port):
        with pytest.raises(AgentError, match="401 to PUT /v1/adapters"):
            await world.agents.assign(KEY, (GERMAN,))


def test_only_engine_pods_with_an_address_have_an_agent() -> None:
    assert engine_endpoint(pod()) == "chat"
    assert engine_endpoint(pod(ip="")) is None
    inspection = pod()
    inspection["metadata"]["labels"] = {}
    assert engine_endpoint(inspection) is None
