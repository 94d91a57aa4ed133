"""The operator's side of the agents: one long poll a pod, orders and questions.

A report lies in the store while its agent answers. One missed answer is forgiven (an agent's restart takes less than
the decision that would follow); after the second the report goes, and whoever decides sees that nobody answers.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
from pydantic import ValidationError

from tunefleet.api.inspection import InspectionResult
from tunefleet.api.names import AGENT_PORT, LABEL_ENDPOINT
from tunefleet.engine.adapters_api import (
    ADAPTERS_PATH,
    INSPECTIONS_PATH,
    LONG_POLL_SECONDS,
    AdaptersReport,
    AdaptersRequest,
    DesiredAdapter,
    InspectionBody,
)
from tunefleet.plan.credentials import endpoint_credentials
from tunefleet.plan.facts import InspectionRequest, Key, Manifest

from .queue import ExpectedError, words
from .store import Store

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
ORDER_SECONDS = 10.0
INSPECTION_SECONDS = 600.0
"""An inspection transfers the adapter's files."""
FORGIVEN = 1
"""Missed answers in a row after which a report still counts."""
FIRST_BACKOFF = 0.2
LAST_BACKOFF = 5.0
QUICK_REPEAT = 1.0
"""Seconds to wait when an agent answers at once that nothing changed: it should have waited itself."""

_NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, ValueError, ValidationError)


class AgentError(ExpectedError):
    """An agent did not answer, or refused."""


class Agent(NamedTuple):
    """Where an agent listens, and what lets the operator in."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """Of each request."""
        return {"Authorization": f"Bearer {self.token}"}


class Agents:
    """Follows the agent of every engine pod. Use `close` in the end."""

    def __init__(self, store: Store, on_change: Callable[[Key], None], *, port: int = AGENT_PORT) -> None:
        """`on_change` is told the pod whose report changed, appeared or went."""
        self._store = store
        self._on_change = on_change
        self._port = port
        self._session = aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(limit=0))
        self._polls: dict[Key, tuple[Agent, asyncio.Task[None]]] = {}
        self._wake: dict[Key, asyncio.Event] = {}

    @property
    def followed(self) -> int:
        """Pods whose agents are polled."""
        return len(self._polls)

    def follow(self, key: Key) -> None:
        """After any change of a pod: begin, go on or stop."""
        agent = self._agent(key)
        former = self._polls.get(key)
        if former and former[0] != agent:
            former[1].cancel()
            del self._polls[key]
            self._drop(key)
        elif former:
            self._wake[key].set()
        if agent and key not in self._polls:
            self._wake[key] = asyncio.Event()
            task = asyncio.create_task(self._poll(key, agent), name=f"agent of {key.namespace}/{key.name}")
            self._polls[key] = (agent, task)

    def follow_all(self) -> None:
        """After a resync: every pod that there is, and every one that is followed and gone."""
        pods = {Key(ref.namespace, ref.name) for ref in self._store.refs("Pod")}
        for key in pods | set(self._polls):
            self.follow(key)

    async def assign(self, key: Key, adapters: tuple[DesiredAdapter, ...]) -> None:
        """Tell an agent what to hold. Raises AgentError."""
        body = AdaptersRequest(adapters=adapters).dump()
        answer = await self._call(key, "PUT", ADAPTERS_PATH, body, ORDER_SECONDS)
        self._take(key, AdaptersReport.read(answer))

    async def inspect(self, key: Key, request: InspectionRequest) -> InspectionResult:
        """Ask an agent what is at a URI. Raises AgentError."""
        body = InspectionBody(uri=request.uri, secret_name=request.secret_name, digest=request.digest).dump()
        return InspectionResult.read(await self._call(key, "POST", INSPECTIONS_PATH, body, INSPECTION_SECONDS))

    async def close(self) -> None:
        """Stop every poll."""
        tasks = [task for _, task in self._polls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def _agent(self, key: Key) -> Agent | None:
        """The agent of a living engine pod; None for any other."""
        pod = self._store.pod(key)
        endpoint = pod and engine_endpoint(pod)
        if not pod or not endpoint:
            return None
        ip = pod["status"]["podIP"]
        host = f"[{ip}]" if ":" in ip else ip
        settings = self._store.settings
        keys = endpoint_credentials(settings.operator_key, settings.gateway_key, key.namespace, endpoint)
        return Agent(f"http://{host}:{self._port}", keys.agent_write_token)

    async def _poll(self, key: Key, agent: Agent) -> None:
        failures = 0
        while True:
            try:
                await self._poll_once(key, agent)
                failures = 0
            except Exception as error:
                failures += 1
                bug = None if isinstance(error, _NO_ANSWER) else error
                if bug or failures == FORGIVEN + 1:
                    log.info("agent of %s/%s: %s", key.namespace, key.name, words(error), exc_info=bug)
                if failures > FORGIVEN:
                    self._drop(key)
                await self._pause(key, min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 8)))

    async def _poll_once(self, key: Key, agent: Agent) -> None:
        former = self._store.reports.get(key)
        query = {"after": former.etag} if former else {}
        timeout = aiohttp.ClientTimeout(total=LONG_POLL_SECONDS + ORDER_SECONDS, sock_connect=CONNECT_SECONDS)
        began = asyncio.get_running_loop().time()
        async with self._session.get(
            agent.url + ADAPTERS_PATH, params=query, headers=agent.headers, timeout=timeout
        ) as answer:
            answer.raise_for_status()
            report = AdaptersReport.read(await answer.json())
        self._take(key, report)
        if former and report.etag == former.etag and asyncio.get_running_loop().time() - began < QUICK_REPEAT:
            await asyncio.sleep(QUICK_REPEAT)

    async def _pause(self, key: Key, seconds: float) -> None:
        """Wait, but no longer than until the pod changes: its agent may just have started."""
        wake = self._wake[key]
        wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            pass

    def _take(self, key: Key, report: AdaptersReport) -> None:
        former = self._store.reports.get(key)
        if former is None or former.etag != report.etag:
            self._store.reports[key] = report
            self._on_change(key)

    def _drop(self, key: Key) -> None:
        if self._store.reports.pop(key, None) is not None:
            self._on_change(key)

    async def _call(self, key: Key, method: str, path: str, body: dict[str, Any], seconds: float) -> dict[str, Any]:
        agent = self._agent(key)
        if agent is None:
            raise AgentError(f"pod {key.namespace}/{key.name} has no agent any more")
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.request(
                method, agent.url + path, json=body, headers=agent.headers, timeout=timeout
            ) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise AgentError(f"agent of {key.namespace}/{key.name} answered {answer.status} to {method} {path}")
                decoded: dict[str, Any] = await answer.json()
                return decoded
        except _NO_ANSWER as error:
            raise AgentError(f"agent of {key.namespace}/{key.name}: {words(error)}") from error


def engine_endpoint(pod: Manifest) -> str | None:
    """The endpoint whose engine a pod runs, while it has an address and is not on its way out."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    alive = not metadata.get("deletionTimestamp") and status.get("phase") not in {"Succeeded", "Failed"}
    return metadata.get("labels", {}).get(LABEL_ENDPOINT) if alive and status.get("podIP") else None
