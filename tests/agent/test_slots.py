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


async def test_room_that_will_be_free_is_told_from_room_that_will_not() -> None:
    slots = Slots(2)
    assert slots.take("old")
    assert slots.take("kept")
    slots.leave("old")
    slots.leave("never taken")
    assert slots.leaving == 1
    assert slots.take("old"), "it came back"
    assert slots.leaving == 0
    slots.leave("old")
    await slots.free("old")
    assert slots.leaving == 0


def test_without_a_capacity_there_is_always_room() -> None:
    slots = Slots(None)
    assert all(slots.take(str(number)) for number in range(1000))
