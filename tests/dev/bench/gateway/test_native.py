"""The engine and the load, against each other: what the load counts is what was sent."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dev.bench.gateway.bodies import request
from dev.bench.gateway.client import ask_once
from dev.bench.gateway.native import Load, held_open, program, send, write_requests
from dev.bench.gateway.processes import Command, Running, free_port, running, until

CORES = sorted(os.sched_getaffinity(0))


def ask(**fields: object) -> bytes:
    body = {"model": "support-de", "messages": [{"role": "user", "content": "delay_ms=0"}], "max_tokens": 5, **fields}
    return request(json.dumps(body).encode(), "key", b"x-request-id: 0000000000000000\r\n")


@asynccontextmanager
async def engine(tmp_path: Path) -> AsyncIterator[tuple[int, Running]]:
    port = free_port()
    async with running(Command.of(program("upstream"), str(port), "127.0.0.1"), tmp_path / "log", CORES) as process:

        async def answers() -> bool:
            return (await ask_once(port, ask())).whole

        await until(answers, "an answer", process, tmp_path / "log", 5)
        yield port, process


async def test_an_answer_has_the_model_and_usage(tmp_path: Path) -> None:
    async with engine(tmp_path) as (port, _):
        answer = await ask_once(port, ask())
    body = json.loads(answer.body)
    assert (answer.whole, body["model"], body["usage"]["completion_tokens"]) == (True, "support-de", 50)


async def test_a_stream_has_as_many_events_as_asked_for(tmp_path: Path) -> None:
    async with engine(tmp_path) as (port, _):
        answer = await ask_once(port, ask(stream=True))
    *events, last = answer.events
    assert answer.whole
    assert last == b"[DONE]"
    assert [json.loads(event)["model"] for event in events] == ["support-de"] * 5


async def test_the_load_counts_answers_and_events(tmp_path: Path) -> None:
    requests = write_requests(tmp_path / "requests", [ask(stream=True), ask(stream=True, max_tokens=1)])
    async with engine(tmp_path) as (port, _):
        outcome = await send(Load(requests, 1, fresh_ids=True), port, 0.1, CORES)
    assert outcome.ok == outcome.sent > 1
    pairs, odd = divmod(outcome.ok, 2)
    assert outcome.events == pairs * (6 + 2) + odd * 6
    assert 0 < outcome.p50 <= outcome.p99 <= outcome.longest


async def test_the_load_keeps_its_rate(tmp_path: Path) -> None:
    requests = write_requests(tmp_path / "requests", [ask()])
    async with engine(tmp_path) as (port, _):
        outcome = await send(Load(requests, 8, rate=100), port, 0.5, CORES)
    assert outcome.sent <= 51


async def test_what_is_not_2xx_is_refused_and_what_ends_early_is_broken(tmp_path: Path) -> None:
    requests = write_requests(tmp_path / "requests", [ask()])
    answers = iter(
        [b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"]
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            answer = next(answers, None)
            if answer is None:
                break
            writer.write(answer)
            if answer.endswith(b"\r\n\r\n{"):
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    outcome = await send(Load(requests, 1), server.sockets[0].getsockname()[1], 0.2, CORES)
    server.close()
    assert (outcome.ok, outcome.refused, outcome.broken) == (0, 1, 1)
    assert outcome.faults == outcome.sent


async def test_connections_that_are_held_open(tmp_path: Path) -> None:
    requests = write_requests(tmp_path / "requests", [ask()])
    async with engine(tmp_path) as (port, process):
        assert process.open_files() < 50
        async with held_open(Load(requests, 50), port, CORES):
            assert process.open_files() > 50


async def test_a_load_without_a_server_says_so(tmp_path: Path) -> None:
    requests = write_requests(tmp_path / "requests", [ask()])
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(RuntimeError, match="connect"):
            await send(Load(requests, 1), closed.getsockname()[1], 0.1, CORES)


async def test_cpu_time_is_read_from_outside(tmp_path: Path) -> None:
    requests = write_requests(tmp_path / "requests", [ask()])
    async with engine(tmp_path) as (port, process):
        before = process.cpu_seconds()
        await send(Load(requests, 4), port, 0.1, CORES)
        assert process.cpu_seconds() > before
        assert process.rss_bytes() > 0
