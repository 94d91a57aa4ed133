"""Room for adapters."""

import asyncio

from tunefleet.agent.slots import Slots


async def test_room_for_so_many_and_no_more() -> None:
    slots = Slots(2)
    assert slots.take("a")
    assert slots.take("b")
    assert slots.take("a")
    assert not slots.take("c")
    waiting = asyncio.create_task(slots.wait_and_take("c"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await slots.free("a")
    await waiting
    assert not slots.take("a")


def test_without_a_capacity_there_is_always_room() -> None:
    slots = Slots(None)
    assert all(slots.take(str(number)) for number in range(1000))
