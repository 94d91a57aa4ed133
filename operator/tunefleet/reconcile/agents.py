"""The operator's side of the agents: one long poll a pod, orders and questions."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp

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

from .long_poll import CONNECT_SECONDS, NO_ANSWER, Address, LongPolls
from .queue import ExpectedError, words
from .store import Store

ORDER_SECONDS = 10.0
INSPECTION_SECONDS = 600.0
"""An inspection transfers the adapter's files."""


class AgentError(ExpectedError):
    """An agent did not answer, or refused."""


class Agents:
    """Follows the agent of every engine pod. Use `close` in the end."""

    def __init__(self, store: Store, on_change: Callable[[Key], None], *, port: int = AGENT_PORT) -> None:
        """`on_change` is told the pod whose report changed, appeared or went."""
        self._store = store
        self._on_change = on_change
        self._port = port
        self._polls = LongPolls(
            "agent", LONG_POLL_SECONDS, AdaptersReport.read, store.reports.get, self._take, self._drop
        )

    @property
    def followed(self) -> int:
        """Pods whose agents are polled."""
        return len(self._polls.followed)

    def follow(self, key: Key) -> None:
        """After any change of a pod: begin, go on or stop."""
        agent = self._agent(key)
        self._polls.follow(key, agent and agent._replace(url=agent.url + ADAPTERS_PATH))

    def follow_all(self) -> None:
        """After a resync: every pod that there is, and every one that is followed and gone."""
        pods = {Key(ref.namespace, ref.name) for ref in self._store.refs("Pod")}
        for key in pods | set(self._polls.followed):
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
        await self._polls.close()

    def _agent(self, key: Key) -> Address | None:
        """The agent of a living engine pod; None for any other."""
        pod = self._store.pod(key)
        endpoint = pod and engine_endpoint(pod)
        if not pod or not endpoint:
            return None
        ip = pod["status"]["podIP"]
        host = f"[{ip}]" if ":" in ip else ip
        settings = self._store.settings
        keys = endpoint_credentials(settings.operator_key, settings.gateway_key, key.namespace, endpoint)
        return Address(f"http://{host}:{self._port}", keys.agent_write_token)

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
            async with self._polls.session.request(
                method, agent.url + path, json=body, headers=agent.headers, timeout=timeout
            ) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise AgentError(f"agent of {key.namespace}/{key.name} answered {answer.status} to {method} {path}")
                decoded: dict[str, Any] = await answer.json()
                return decoded
        except NO_ANSWER as error:
            raise AgentError(f"agent of {key.namespace}/{key.name}: {words(error)}") from error


def engine_endpoint(pod: Manifest) -> str | None:
    """The endpoint whose engine a pod runs, while it has an address and is not on its way out."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    alive = not metadata.get("deletionTimestamp") and status.get("phase") not in {"Succeeded", "Failed"}
    return metadata.get("labels", {}).get(LABEL_ENDPOINT) if alive and status.get("podIP") else None
