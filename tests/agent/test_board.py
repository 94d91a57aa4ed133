"""The report and its etag."""

import asyncio

from tunefleet.agent.board import Board
from tunefleet.engine.adapters_api import AdapterReport, AdapterState, EngineReport

ENGINE = EngineReport(name="base@v1-00000000", ready=True, slots=8, max_rank=16)


def adapter(name: str, state: AdapterState = AdapterState.LOADED) -> AdapterReport:
    return AdapterReport(engine_name=f"{name}@v1-00000000", uri="pvc://x/y", digest="sha256:0", state=state)


async def test_equal_writes_make_no_new_etag() -> None:
    board = Board(ENGINE)
    await board.set_adapter(adapter("a"))
    etag = board.report.etag
    await board.set_adapter(adapter("a"))
    await board.set_engine(ready=True)
    await board.remove_adapter("b@v1-00000000")
    assert board.report.etag == etag


async def test_no_adapter_is_loaded_in_an_engine_that_is_gone() -> None:
    board = Board(ENGINE)
    await board.set_adapter(adapter("a"))
    await board.set_adapter(adapter("b", AdapterState.FAILED))
    changes = board.report.etag
    await board.set_engine(ready=False, message="gone")
    assert [a.state for a in board.report.adapters] == [AdapterState.LOADING, AdapterState.FAILED]
    assert board.report.message == "gone"
    assert int(board.report.etag.partition("-")[2]) == int(changes.partition("-")[2]) + 1


async def test_draining_adapters_come_last() -> None:
    board = Board(ENGINE)
    for report in (adapter("a", AdapterState.DRAINING), adapter("c"), adapter("b")):
        await board.set_adapter(report)
    assert [a.engine_name[0] for a in board.report.adapters] == ["b", "c", "a"]


async def test_those_who_wait_see_every_change_and_the_end() -> None:
    board = Board(ENGINE)
    first = board.report.etag
    waiting = asyncio.create_task(board.changed_since(first, 30))
    await asyncio.sleep(0)
    await board.set_adapter(adapter("a"))
    second = (await waiting).etag
    assert second != first
    last = asyncio.create_task(board.changed_since(second, 30))
    await asyncio.sleep(0)
    await board.close()
    assert (await last).etag == second


async def test_a_wait_ends_without_a_change() -> None:
    board = Board(ENGINE)
    assert (await board.changed_since(board.report.etag, 0.01)).etag == board.report.etag
