"""Several real processes on one port: what a client, Prometheus and the operator see of them."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tunefleet.gateway.parent import run_workers
from tunefleet.gateway.workers import NeverAnsweredError, Worker

from .harness import ASK, Call, Client, post
from .live import Live, live
from .test_process import free_port


def process_of(request_id: str) -> str:
    """Request ids of one process begin alike."""
    return request_id[:16]


async def spread(now: Live, processes: int = 2) -> dict[str, Client]:
    """A connection to each worker, by the beginning of its request ids."""
    found: dict[str, Client] = {}
    async with asyncio.timeout(30):
        while len(found) < processes:
            client = await now.client()
            await client.send(post(ASK))
            worker = process_of((await client.response()).headers["x-request-id"])
            if worker in found:
                client.writer.close()
            else:
                found[worker] = client
    return found


async def counted(now: Live, name: str) -> dict[str, float]:
    """A metric's samples, added up by worker."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families((await now.admin("/metrics"))[1]):
        for sample in family.samples:
            if sample.name == name:
                found[sample.labels["worker"]] = found.get(sample.labels["worker"], 0) + sample.value
    return found


async def test_one_admin_port_speaks_for_all(tmp_path: Path) -> None:
    running, proceed = asyncio.Semaphore(0), asyncio.Event()

    async def script(call: Call) -> None:
        if call.request.json.get("hold"):
            running.release()
            await proceed.wait()
        await call.answer()

    async with live(tmp_path, "--workers=2", script=script) as now:
        clients = list((await spread(now)).values())
        totals = await counted(now, "tunefleet_gateway_requests_total")
        assert sum(totals.values()) == len(now.engine.received)
        assert set(totals) == {"0", "1"}
        assert await counted(now, "tunefleet_gateway_worker_starts_total") == {"0": 1, "1": 1}
        for client in clients:
            await client.send(post({**ASK, "hold": True}))
            await running.acquire()
        table = json.loads((await now.admin("/table"))[1])
        assert [pod["inFlight"] for pod in table["pods"].values()] == [2]
        await now.until(lambda: demanded(now, 2))
        proceed.set()
        for client in clients:
            assert (await client.response()).status == 200
        now.terminate()
        assert await now.ended() == 0


async def demanded(now: Live, running: int) -> bool:
    report = json.loads((await now.admin("/v1/demand"))[1])
    return bool(sum(adapter.get("inFlight", 0) for adapter in report["adapters"]) == running)


async def test_a_worker_that_is_killed_comes_back_and_the_others_go_on(tmp_path: Path) -> None:
    async with live(tmp_path, "--workers=2") as now:
        clients = await spread(now)
        stop = asyncio.Event()
        before = set(now.workers())
        load = [asyncio.create_task(ask_until(client, stop)) for client in clients.values()]
        victim = now.workers()[0]
        os.kill(victim, signal.SIGKILL)
        done, _ = await asyncio.wait(load, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1  # its own connections end with it

        async def back() -> bool:
            return len(set(now.workers()) - {victim}) == 2 and (await now.admin("/readyz"))[0] == 200

        await now.until(back)
        assert len(set(now.workers()) & before) == 1
        stop.set()
        answered = [await task for task in load]
        assert sorted(ok for _, ok in answered) == [False, True]
        assert max(count for count, _ in answered) > 10
        assert sorted((await counted(now, "tunefleet_gateway_worker_starts_total")).values()) == [1, 2]
        assert len(await spread(now)) == 2
        now.terminate()
        assert await now.ended() == 0


async def ask_until(client: Client, stop: asyncio.Event) -> tuple[int, bool]:
    """Answers until stopped; whether there was one for each request."""
    count = 0
    try:
        while not stop.is_set():
            await client.send(post(ASK))
            assert (await client.response()).status == 200
            count += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        return count, False
    return count, True


async def test_a_drain_lets_the_streams_of_all_finish(tmp_path: Path) -> None:
    running, proceed = asyncio.Semaphore(0), asyncio.Event()

    async def script(call: Call) -> None:
        if not call.request.json.get("stream"):
            await call.answer()
            return
        await call.stream(b"1", finish=False)
        running.release()
        await proceed.wait()
        await call.send(b"0\r\n\r\n")

    async with live(tmp_path, "--workers=2", "--drain-seconds=30", script=script) as now:
        clients = list((await spread(now)).values())
        for client in clients:
            await client.send(post({**ASK, "stream": True}))
            await running.acquire()
        now.terminate()

        async def draining() -> bool:
            return await now.admin("/readyz") == (503, "draining\n")

        await now.until(draining)
        await now.until(lambda: refused(now))
        assert len(now.workers()) == 2
        proceed.set()
        for client in clients:
            assert (await client.response()).body == b"data: 1\n\n"
        assert await now.ended() == 0


async def refused(now: Live) -> bool:
    """The port is closed."""
    try:
        await now.client()
    except ConnectionRefusedError:
        return True
    return False


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    async with live(tmp_path, "--workers=2", "--drain-seconds=0") as now:
        workers = now.workers()
        now.process.kill()
        await now.ended()

        async def gone() -> bool:
            return not any(map(runs, workers))

        await now.until(gone)


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await run_workers(2, (), taken.getsockname(), ("127.0.0.1", free_port()), 0)


async def test_a_worker_that_cannot_start_ends_it_all(tmp_path: Path) -> None:
    worker = Worker(("/bin/sh", "-c", "exit 3", "sh"), tmp_path / "0.sock")
    with pytest.raises(NeverAnsweredError, match="status 3"):
        await worker.run()


async def test_a_worker_that_is_killed_before_it_answered_starts_again(tmp_path: Path) -> None:
    worker = Worker(("/bin/sh", "-c", "kill -9 $$", "sh"), tmp_path / "0.sock")
    running = asyncio.create_task(worker.run())
    while worker.starts < 2 and not running.done():  # noqa: ASYNC110 - it has no event of its own
        await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.end(1)


async def test_a_worker_that_does_not_end_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deaf = tmp_path / "deaf"
    script = f"trap '' TERM; : > '{deaf}'; while :; do sleep 0.1; done"
    worker = Worker(("/bin/sh", "-c", script, "sh"), tmp_path / "0.sock")
    running = asyncio.create_task(worker.run())
    while not deaf.exists():  # noqa: ASYNC110 - a file of another process
        await asyncio.sleep(0.01)
    pid = worker.pid
    assert pid is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.end(0.2)
    assert not runs(pid)
    assert any("is killed" in line for line in caplog.messages)
