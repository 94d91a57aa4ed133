"""Long polls of the agents beside the engines: what each engine holds, within milliseconds of a change."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import aiohttp
from pydantic import ValidationError

from tunefleet.api.names import AGENT_PORT
from tunefleet.engine.adapters_api import ADAPTERS_PATH, LONG_POLL_SECONDS, AdaptersReport
from tunefleet.plan.credentials import AGENT_READ_PURPOSE, derive
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import EnginePod, Holdings
from tunefleet.plan.routing import holdings_of

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0
"""A report outlives its agent for so long: an agent that restarts beside a running engine takes less."""
FIRST_PAUSE = 0.1
LAST_PAUSE = 2.0
_TIMEOUT = aiohttp.ClientTimeout(total=LONG_POLL_SECONDS + 10, sock_connect=2)


class Agents:
    """One poll for each engine pod that has an address and is not going away; the latest report of each."""

    def __init__(self, fleet_key: bytes, on_alive: Callable[[Key], None], port: int | None = None) -> None:
        self._fleet_key = fleet_key
        self.on_change: Callable[[], None] = lambda: None
        """Called after `reports` or `heard_all` changed."""
        self._on_alive = on_alive
        self._port = AGENT_PORT if port is None else port
        self._polls: dict[Key, tuple[str, asyncio.Task[None]]] = {}
        self._reports: dict[Key, Holdings] = {}
        self._pending: set[Key] = set()
        self._silent: set[Key] = set()
        """Pods whose agent's silence was logged."""
        self._session: aiohttp.ClientSession | None = None
        self.reports: Mapping[Key, Holdings] = MappingProxyType(self._reports)

    @property
    def heard_all(self) -> bool:
        """Every agent that is polled has answered, or failed to, at least once."""
        return not self._pending

    def follow(self, pods: Iterable[EnginePod]) -> None:
        """Poll the agents of exactly these pods."""
        wanted = {pod.key: pod for pod in pods if pod.ip and not pod.terminating}
        for key, (ip, _) in list(self._polls.items()):
            if key not in wanted or wanted[key].ip != ip:
                self._stop(key)
        for key, pod in wanted.items():
            if key not in self._polls:
                self._pending.add(key)
                task = asyncio.get_running_loop().create_task(self._poll(pod), name=f"agent of {pod.key}")
                self._polls[key] = (pod.ip, task)

    async def aclose(self) -> None:
        """Stop every poll."""
        tasks = [task for _, task in self._polls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _stop(self, key: Key) -> None:
        _, task = self._polls.pop(key)
        task.cancel()
        self._pending.discard(key)
        self._silent.discard(key)
        self._drop(key)

    async def _poll(self, pod: EnginePod) -> None:
        etag = ""
        pause = FIRST_PAUSE
        alive = asyncio.get_running_loop().time()
        while True:
            try:
                etag = self._heard(pod.key, await self._ask(pod, etag))
            except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
                self._missed(pod, asyncio.get_running_loop().time() - alive, error)
                etag = ""  # the next answer is to come at once, changed or not
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
                continue
            alive, pause = asyncio.get_running_loop().time(), FIRST_PAUSE

    async def _ask(self, pod: EnginePod, etag: str) -> AdaptersReport:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
        token = derive(self._fleet_key, AGENT_READ_PURPOSE, pod.key.namespace, pod.endpoint)
        url = f"http://{_host(pod.ip)}:{self._port}{ADAPTERS_PATH}"
        headers = {"Authorization": f"Bearer {token}"}
        query = {"after": etag} if etag else {}
        async with self._session.get(url, params=query, headers=headers, raise_for_status=True) as answer:
            return AdaptersReport.model_validate_json(await answer.read())

    def _heard(self, key: Key, report: AdaptersReport) -> str:
        """The report's etag; the report itself is not kept while the next one is waited for."""
        self._on_alive(key)
        held = holdings_of(report)
        news = key in self._pending
        self._pending.discard(key)
        self._silent.discard(key)
        if self._reports.get(key) != held:
            self._reports[key] = held
            news = True
        if news:
            self.on_change()
        return report.etag

    def _missed(self, pod: EnginePod, seconds: float, error: Exception) -> None:
        log.info(
            "the agent of %s/%s at %s does not answer: %s: %s", *pod.key, pod.ip, type(error).__name__, error
        )  # a repr has the token
        if pod.key in self._pending:
            self._pending.discard(pod.key)
            self.on_change()
        if seconds > REPORT_SECONDS:
            self._drop(pod.key)

    def _drop(self, key: Key) -> None:
        if self._reports.pop(key, None) is not None:
            self.on_change()


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
