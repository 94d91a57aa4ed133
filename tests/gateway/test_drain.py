"""A real process is told to stop under load: whoever sends before it saw `connection: close` gets an answer."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from .harness import ASK, MODEL, Call, Client, Response, post
from .live import Live, live


@dataclass
class Tally:
    """Of one client."""

    answered: int = 0
    lost: int = 0


async def script(call: Call) -> None:
    """A stream of a second, or an answer after a moment."""
    if call.request.json.get("stream"):
        await call.stream(finish=False)
        for number in range(20):
            await call.event(b"%d" % number)
            await asyncio.sleep(0.05)
        await call.send(b"0\r\n\r\n")
    else:
        await asyncio.sleep(0.005)
        await call.answer()


async def asks_again_and_again(now: Live, tally: Tally, *, keeps: bool) -> None:
    """Until the port is closed. `keeps` its connection as long as it may."""
    while True:
        try:
            client = await now.client()
        except ConnectionError:
            return
        closed = False
        while not closed:
            closed = not keeps
            response = await asked(client, tally)
            closed = closed or response is None or response.headers.get("connection") == "close"
        client.writer.close()


async def asked(client: Client, tally: Tally) -> Response | None:
    try:
        await client.send(post(ASK))
        response = await client.response()
    except (ConnectionError, asyncio.IncompleteReadError):
        tally.lost += 1
        return None
    tally.answered += response.status == 200
    tally.lost += response.status != 200
    return response


async def streamed(client: Client) -> bytes:
    await client.send(post({**ASK, "stream": True}))
    return (await client.response()).body


async def test_nothing_is_lost(tmp_path: Path) -> None:
    async with live(tmp_path, "--drain-seconds=30", script=script) as now:
        tallies = [Tally() for _ in range(12)]
        load = [
            asyncio.create_task(asks_again_and_again(now, tally, keeps=number % 3 > 0))
            for number, tally in enumerate(tallies)
        ]
        streams = [asyncio.create_task(streamed(await now.client())) for _ in range(4)]
        while min(tally.answered for tally in tallies) < 5:  # noqa: ASYNC110 - until all have begun
            await asyncio.sleep(0.01)
        now.terminate()
        await asyncio.gather(*load)
        for stream in streams:
            assert (await stream).count(b"data: ") == 20
        assert [tally.lost for tally in tallies] == [0] * 12
        assert await now.ended() == 0


async def held(now: Live) -> bool:
    return "tunefleet_gateway_held_requests 1" in (await now.admin("/metrics"))[1]


async def nowhere(now: Live) -> bool:
    """No engine holds the version."""
    table = json.loads((await now.admin("/table"))[1])
    return not any(version["pods"] for version in table["routes"][MODEL]["versions"])


async def hold(now: Live, client: Client) -> None:
    """A request that no engine can answer now."""
    now.agent.loaded.clear()
    now.agent.publish()

    await now.until(lambda: nowhere(now))
    await client.send(post(ASK))
    await now.until(lambda: held(now))


async def draining(now: Live) -> bool:
    return (await now.admin("/readyz"))[1] == "draining\n"


async def test_requests_that_wait_go_on_waiting(tmp_path: Path) -> None:
    async with live(tmp_path, "--drain-seconds=30") as now:
        loaded = dict(now.agent.loaded)
        client = await now.client()
        await hold(now, client)
        now.terminate()
        await now.until(lambda: draining(now))
        now.agent.loaded.update(loaded)
        now.agent.publish()
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        client.writer.close()
        assert await now.ended() == 0


async def test_when_time_is_up_who_waits_is_told_so(tmp_path: Path) -> None:
    async with live(tmp_path, "--drain-seconds=0.2") as now:
        client = await now.client()
        await hold(now, client)
        now.terminate()
        response = await client.response()
        assert (response.status, response.code) == (503, "model_not_available")
        assert response.headers["retry-after"]
        assert await now.ended() == 0
