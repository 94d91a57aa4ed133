"""The operator's side of the gateways: a watch of their pods, and one long poll each for what they know of requests.

They run in the operator's own namespace, whichever namespaces are served, so they have a watch of their own.
"""

from collections.abc import Callable
from typing import Any

from tunefleet.api.names import COMPONENT
from tunefleet.kube.client import Client
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.watch import ObjectKey, Watch
from tunefleet.plan.demand import DEMAND_PATH, DEMAND_PORT, LONG_POLL_SECONDS, DemandReport
from tunefleet.plan.facts import Key

from .long_poll import Address, LongPolls
from .store import Store

GATEWAY_PODS = f"{COMPONENT}=gateway,app.kubernetes.io/name=tunefleet"
"""Label selector, as the chart labels them."""
_ENDED = frozenset({"Succeeded", "Failed"})


class Gateways:
    """Follows every gateway pod while `run` runs. Use `close` in the end."""

    def __init__(
        self,
        store: Store,
        client: Client,
        on_change: Callable[[DemandReport | None, DemandReport | None], None],
        *,
        port: int = DEMAND_PORT,
    ) -> None:
        """`on_change` is told a gateway's former report and its present one; None: nothing is known of it."""
        self._store = store
        self._on_change = on_change
        self._port = port
        self._watch = Watch(
            client,
            RESOURCES["Pod"],
            _address,
            self._pod_changed,
            namespace=store.settings.namespace,
            label_selector=GATEWAY_PODS,
        )
        self._polls = LongPolls(
            "demand", LONG_POLL_SECONDS, DemandReport.read, store.gateways.get, self._take, self._silent
        )

    @property
    def followed(self) -> int:
        """Gateway pods that are polled."""
        return len(self._polls.followed)

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._watch.run()

    async def close(self) -> None:
        """Stop every poll."""
        await self._polls.close()

    def _pod_changed(self, pod: ObjectKey) -> None:
        key, ip = Key(*pod), self._watch.store.get(pod)
        if ip is None:
            self._polls.follow(key, None)
            self._forget(key)
            return
        self._store.gateways.setdefault(key, None)
        host = f"[{ip}]" if ":" in ip else ip
        self._polls.follow(key, Address(f"http://{host}:{self._port}{DEMAND_PATH}") if ip else None)

    def _take(self, key: Key, report: DemandReport) -> None:
        former = self._store.gateways.get(key)
        self._store.gateways[key] = report
        if former is None or former.etag != report.etag:
            self._on_change(former, report)

    def _silent(self, key: Key) -> None:
        """Nobody knows what it would say, which is not the same as nothing."""
        former, self._store.gateways[key] = self._store.gateways.get(key), None
        if former is not None:
            self._on_change(former, None)

    def _forget(self, key: Key) -> None:
        former = self._store.gateways.pop(key, None)
        self._on_change(former, None)


def _address(pod: dict[str, Any]) -> str | None:
    """A pod's address, empty while it has none; None once it has ended."""
    status = pod.get("status") or {}
    return None if status.get("phase") in _ENDED else str(status.get("podIP") or "")
