"""The work queue, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from itertools import pairwise

import pytest

from tests.reconcile.virtual_time import run_virtual
from tunefleet.kube.fence import LeadershipLostError
from tunefleet.reconcile.queue import LAST_BACKOFF, ExpectedError, WorkQueue


class Recorded:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self.waits: list[float] = []
        self.took: dict[Hashable, float] = {}

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def finished(self, key: Hashable, seconds: float, error: Exception | None) -> None:
        self.errors.append(error)
        self.took[key] = seconds


Handle = Callable[[str], Awaitable[float | None]]


async def run_for(queue: WorkQueue[str], seconds: float) -> None:
    """Work for so long in virtual time, then stop gracefully."""
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(seconds)
    queue.stop()
    await running


def test_a_key_added_often_before_a_worker_is_free_runs_once() -> None:
    runs: list[str] = []

    async def handle(key: str) -> float | None:
        runs.append(key)
        return None

    async def main() -> None:
        queue = WorkQueue(handle, Recorded())
        for key in ("a", "b", "a", "a"):
            queue.add(key)
        assert queue.depth == 2
        await run_for(queue, 1)

    run_virtual(main())
    assert runs == ["a", "b"]


def test_a_key_is_never_worked_on_twice_at_once_and_runs_again_when_it_was_added_meanwhile() -> None:
    runs: list[tuple[float, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handle(_key: str) -> float | None:
            start = loop.time()
            if not runs:
                queue.add("a")
                queue.add("a")
            await asyncio.sleep(5)
            runs.append((start, loop.time()))
            return None

        queue = WorkQueue(handle, Recorded(), workers=3)
        queue.add("a")
        await run_for(queue, 60)

    run_virtual(main())
    assert runs == [(0, 5), (5, 10)]


def test_different_keys_run_side_by_side_up_to_the_number_of_workers() -> None:
    together: list[int] = []

    async def main() -> None:
        active = 0

        async def handle(_key: str) -> float | None:
            nonlocal active
            active += 1
            together.append(active)
            await asyncio.sleep(1)
            active -= 1
            return None

        queue = WorkQueue(handle, Recorded(), workers=3)
        for key in "abcdefg":
            queue.add(key)
        await run_for(queue, 60)

    run_virtual(main())
    assert len(together) == 7
    assert max(together) == 3


def test_a_failing_key_backs_off_exponentially_to_a_limit_and_holds_up_nobody() -> None:
    failed_at: list[float] = []
    good_at: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handle(key: str) -> float | None:
            if key == "good":
                good_at.append(loop.time())
                return None
            failed_at.append(loop.time())
            raise ExpectedError("no")

        queue = WorkQueue(handle, Recorded(), workers=1)
        queue.add("bad")
        queue.add("good")
        await run_for(queue, 300)

    run_virtual(main())
    waits = [later - earlier for earlier, later in pairwise(failed_at)]
    assert waits[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert max(waits) == pytest.approx(LAST_BACKOFF)
    assert good_at == [0]


def test_success_forgets_the_failures() -> None:
    at: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handle(_key: str) -> float | None:
            at.append(loop.time())
            if len(at) == 4:
                return 10.0
            raise ExpectedError("no")

        queue = WorkQueue(handle, Recorded())
        queue.add("a")
        await run_for(queue, 10.85)

    run_virtual(main())
    assert at == pytest.approx([0, 0.1, 0.3, 0.7, 10.7, 10.8])


def test_being_added_ends_a_back_off_at_once() -> None:
    at: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handle(_key: str) -> float | None:
            at.append(loop.time())
            if loop.time() < 20:
                raise ExpectedError("no")
            return None

        queue = WorkQueue(handle, Recorded())
        queue.add("a")
        loop.call_at(20.5, queue.add, "a")
        await run_for(queue, 100)

    run_virtual(main())
    assert at[-1] == 20.5


def test_the_earliest_of_several_requeues_wins_and_a_run_makes_the_others_void() -> None:
    at: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handle(_key: str) -> float | None:
            at.append(loop.time())
            return None

        queue = WorkQueue(handle, Recorded())
        queue.add_after("a", 30)
        queue.add_after("a", 10)
        queue.add_after("a", 20)
        await run_for(queue, 100)

    run_virtual(main())
    assert at == [10]


def test_a_handler_that_asks_for_it_runs_again_later() -> None:
    at: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handle(_key: str) -> float | None:
            at.append(loop.time())
            return 30.0

        queue = WorkQueue(handle, Recorded())
        queue.add("a")
        await run_for(queue, 100)

    run_virtual(main())
    assert at == [0, 30, 60, 90]


def test_stop_lets_work_in_flight_finish_and_starts_no_more() -> None:
    finished: list[str] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()

        async def handle(key: str) -> float | None:
            await asyncio.sleep(5)
            finished.append(key)
            return 1.0

        queue = WorkQueue(handle, Recorded(), workers=1)
        queue.add("in flight")
        queue.add("waiting")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(1)
        queue.stop()
        queue.add("too late")
        await running
        return loop.time()

    assert run_virtual(main()) == 5
    assert finished == ["in flight"]


def test_losing_the_leadership_ends_the_queue() -> None:
    async def main() -> None:
        async def handle(_key: str) -> float | None:
            raise LeadershipLostError("gone")

        queue = WorkQueue(handle, Recorded())
        queue.add("a")
        with pytest.raises(ExceptionGroup) as caught:
            await queue.run()
        assert caught.value.subgroup(LeadershipLostError)

    run_virtual(main())


def test_an_unexpected_error_is_logged_with_its_traceback_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    recorded = Recorded()

    async def main() -> None:
        async def handle(_key: str) -> float | None:
            raise ZeroDivisionError("a bug")

        queue = WorkQueue(handle, recorded)
        queue.add("a")
        await run_for(queue, 0.05)

    run_virtual(main())
    assert [type(error) for error in recorded.errors] == [ZeroDivisionError]
    assert "Traceback" in caplog.text


def test_the_age_of_the_slowest_work_is_known() -> None:
    async def main() -> None:
        async def handle(_key: str) -> float | None:
            await asyncio.sleep(100)
            return None

        queue = WorkQueue(handle, Recorded())
        assert queue.oldest_running == 0
        queue.add("a")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(40)
        assert queue.oldest_running == 40
        queue.stop()
        await running
        assert queue.oldest_running == 0

    run_virtual(main())
