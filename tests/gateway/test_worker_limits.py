"""A limit of a key holds for all workers of a gateway together."""

import asyncio
from pathlib import Path

from tunefleet.plan.keys import KeyHash, make_key

from .harness import ASK, Client, get, post
from .live import Live, live
from .test_key_source import secret

KEY = make_key(bytes(32))
BEARER = f"Authorization: Bearer {KEY}".encode()
MODELS = get("/v1/models", BEARER)


async def of_each_worker(now: Live) -> list[Client]:
    """A connection to each of the two, by the beginning of their request ids."""
    found: dict[str, Client] = {}
    async with asyncio.timeout(30):
        while len(found) < 2:
            client = await now.client()
            await client.send(MODELS)
            response = await client.response()
            assert response.status == 200
            found[response.headers["x-request-id"][:16]] = client
    return list(found.values())


async def status(client: Client) -> int:
    await client.send(post(ASK, BEARER))
    return (await client.response()).status


async def test_what_one_worker_admits_is_gone_for_the_other(tmp_path: Path) -> None:
    """The gateway's own pod is one of those that are asked."""
    keys = secret("team-a", KeyHash.of(KEY), policy={"requestsPerMinute": 4})
    itself = {"metadata": {"name": "gateway-0", "namespace": "ns"}, "status": {"podIP": "127.0.0.1"}}
    arguments = ("--workers=2", "--auth=keys", "--keys-namespace=ns", "--peers-namespace=ns")
    async with live(tmp_path, *arguments, objects=[("Secret", keys), ("Pod", itself)]) as now:
        first, second = await of_each_worker(now)
        assert [await status(first) for _ in range(5)] == [200, 200, 200, 200, 429]

        async def known() -> bool:
            text = (await now.admin("/v1/usage"))[1]
            return text.count('"process"') == 2 and '"requests": 0' in text and text.count('"requestsLeft": 0') == 2

        await now.until(known, seconds=10)
        assert await status(second) == 429
