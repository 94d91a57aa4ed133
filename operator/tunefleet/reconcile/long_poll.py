"""Long polls: one task for each pod that is followed, which asks again and again for what changed.

A report counts while its pod answers. One missed answer is forgiven (a restart takes less than the decision that would
follow); after the second the report goes, and whoever decides sees that nobody answers.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import aiohttp
from pydantic import ValidationError

from tunefleet.plan.facts import Key

from .queue import words

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
"""What an answer may take beyond the time that the other side waits for a change."""
FORGIVEN = 1
"""Missed answers in a row after which a report still counts."""
FIRST_BACKOFF = 0.2
LAST_BACKOFF = 5.0
QUICK_REPEAT = 1.0
"""Seconds to wait when the other side answers at once that nothing changed: it should have waited itself."""

NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, ValueError, ValidationError)


class Report(Protocol):
    """An answer, under an etag that changes with it."""

    @property
    def etag(self) -> str:
        """BOOT-N."""


R = TypeVar("R", bound=Report)


class Address(NamedTuple):
    """Where to ask."""

    url: str
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Of each request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class LongPolls(Generic[R]):
    """Follows addresses by pod. Use `close` in the end."""

    def __init__(
        self,
        what: str,
        seconds: float,
        read: Callable[[dict[str, Any]], R],
        former: Callable[[Key], R | None],
        take: Callable[[Key, R], None],
        drop: Callable[[Key], None],
    ) -> None:
        """`what` is asked, in words; the other side waits `seconds` for a change. `take` gets each answer, `drop` the
        pods that answer no more or are not followed any more."""
        self._what = what
        self._seconds = seconds
        self._read = read
        self._former = former
        self._take = take
        self._drop = drop
        self.session = aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(limit=0))
        self._polls: dict[Key, tuple[Address, asyncio.Task[None]]] = {}
        self._wake: dict[Key, asyncio.Event] = {}

    @property
    def followed(self) -> Mapping[Key, object]:
        """Pods that are polled."""
        return self._polls

    def follow(self, key: Key, address: Address | None) -> None:
        """Begin, go on, ask elsewhere, or stop when there is no address any more."""
        former = self._polls.get(key)
        if former and former[0] != address:
            former[1].cancel()
            del self._polls[key], self._wake[key]
            self._drop(key)
        elif former:
            self._wake[key].set()
        if address and key not in self._polls:
            self._wake[key] = wake = asyncio.Event()
            task = asyncio.create_task(self._poll(key, address, wake), name=f"{self._what} of {'/'.join(key)}")
            self._polls[key] = (address, task)

    async def close(self) -> None:
        """Stop every poll."""
        tasks = [task for _, task in self._polls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.session.close()

    async def _poll(self, key: Key, address: Address, wake: asyncio.Event) -> None:
        failures = 0
        while True:
            try:
                await self._poll_once(key, address)
                failures = 0
            except Exception as error:
                failures += 1
                bug = None if isinstance(error, NO_ANSWER) else error
                if bug or failures == FORGIVEN + 1:
                    log.info("%s of %s/%s: %s", self._what, key.namespace, key.name, words(error), exc_info=bug)
                if failures > FORGIVEN:
                    self._drop(key)
                await _pause(wake, min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 8)))

    async def _poll_once(self, key: Key, address: Address) -> None:
        former = self._former(key)
        query = {"after": former.etag} if former else {}
        timeout = aiohttp.ClientTimeout(total=self._seconds + ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
        began = asyncio.get_running_loop().time()
        async with self.session.get(address.url, params=query, headers=address.headers, timeout=timeout) as answer:
            answer.raise_for_status()
            report = self._read(await answer.json())
        self._take(key, report)
        if former and report.etag == former.etag and asyncio.get_running_loop().time() - began < QUICK_REPEAT:
            await asyncio.sleep(QUICK_REPEAT)


async def _pause(wake: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until the pod changes: what is asked may just have started."""
    wake.clear()
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
