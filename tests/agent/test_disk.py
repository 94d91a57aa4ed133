"""A pod's disk that is bounded: what is in use stays, what is not makes room."""

from dataclasses import replace

import pytest

from tests.agent.fake_engine import FakeEngine
from tests.agent.fleet import FAST, Pod, Running, agent_in, state_of
from tests.artifacts.samples import adapter_tensors
from tunefleet.api.conditions import Reason
from tunefleet.engine.adapters_api import AdapterState, DesiredAdapter

LOADED = AdapterState.LOADED
FAILED = AdapterState.FAILED


def adapters(pod: Pod, count: int) -> list[DesiredAdapter]:
    """Of equal size, none of the same weights."""
    return [pod.adapter(f"number-{n}", tensors=adapter_tensors(seed=n)) for n in range(count)]


@pytest.fixture
def pod(pod: Pod) -> Pod:
    """Room for two adapters and a half."""
    place = pod.claim / pod.adapter("measure").uri.rpartition("/")[2]
    size = sum(path.stat().st_size for path in place.iterdir() if path.suffix in {".json", ".safetensors"})
    pod.disk_bytes = 5 * size // 2
    pod.timing = replace(FAST, fresh=0.0)
    return pod


async def hold(agent: Running, *desired: DesiredAdapter) -> None:
    await agent.put(*desired)
    await agent.wait(lambda r: len(r.adapters) == len(desired) and all(a.state is LOADED for a in r.adapters))


async def test_what_left_the_set_longest_ago_makes_room(pod: Pod, agent: Running) -> None:
    first, second, third = adapters(pod, 3)
    await hold(agent, first)
    await hold(agent, second)
    assert pod.stored(first).exists()
    await hold(agent, third)
    assert not pod.stored(first).exists()
    assert pod.stored(second).exists()
    await hold(agent, first)
    assert not pod.stored(second).exists()


async def test_without_room_for_what_is_needed_the_last_one_fails_and_waits(pod: Pod, agent: Running) -> None:
    first, second, third = adapters(pod, 3)
    await hold(agent, first, second)
    await agent.put(first, second, third)
    report = await agent.wait_for(third, FAILED)
    assert report.reason == Reason.DISK_FULL
    assert pod.stored(first).exists()
    assert pod.stored(second).exists()
    await agent.put(second, third)
    await agent.wait_for(third, LOADED)
    assert not pod.stored(first).exists()


async def test_files_that_old_requests_may_still_read_stay(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    """The engine died of a request that was waiting for an adapter whose files were gone."""
    first, second, third = adapters(pod, 3)
    await hold(agent, first, second)
    engine.waiting = 1
    await agent.put(second, third)
    assert (await agent.wait_for(third, FAILED)).reason == Reason.DISK_FULL
    await agent.wait(lambda r: state_of(r, first) is None)
    assert first.engine_name not in engine.loaded
    assert pod.stored(first).exists()
    engine.waiting = 0
    await agent.wait_for(third, LOADED)
    assert not pod.stored(first).exists()


async def test_an_adapter_that_was_just_looked_at_stays(pod: Pod, engine: FakeEngine) -> None:
    pod.timing = FAST
    first, second, third = adapters(pod, 3)
    async with agent_in(pod) as agent:
        await hold(agent, first)
        await hold(agent, second)
        await agent.put(third)
        assert (await agent.wait_for(third, FAILED)).reason == Reason.DISK_FULL
        assert pod.stored(first).exists()
        assert pod.stored(second).exists()


async def test_transfers_at_once_do_not_take_the_same_room(pod: Pod, agent: Running) -> None:
    three = adapters(pod, 3)
    await agent.put(*three)
    await agent.wait(
        lambda r: sorted(str(state_of(r, a)) for a in three) == sorted([str(FAILED), str(LOADED), str(LOADED)])
    )
