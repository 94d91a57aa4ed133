"""Where keys come from: a watch of the Secrets that hold them. When the API server is away, the last ones stay valid.

What cannot be read gives nobody access: its keys do not work until it is mended, and the others are not held up by it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunefleet.api.api_key import SECRET_TYPE
from tunefleet.kube.client import Client
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.watch import ObjectKey, Watch
from tunefleet.plan.keys import SHOWN_DIGITS, KeyHolder, KeyRing, holder_of, key_ring

from .access import Access, Tenant
from .sources import Rebuild

log = logging.getLogger(__name__)

LONGEST_SLEEP = 600.0
"""Seconds after which the wall clock is looked at again, should it have been set meanwhile."""


@dataclass(frozen=True)
class Unreadable:
    """A Secret that gives nobody access, and why."""

    reason: str


class KeySource:
    """Keeps `access` in step with the Secrets of one namespace while `run` runs."""

    def __init__(
        self, client: Client, access: Access, namespace: str, clock: Callable[[], float], today: Callable[[], datetime]
    ) -> None:
        """`clock`: the loop's seconds, for limits. `today`: wall-clock time, for expiry."""
        self._access = access
        self._clock = clock
        self._today = today
        self._rebuild = Rebuild(self._build)
        self._tenants: dict[str, Tenant] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._shared: Mapping[str, tuple[str, ...]] = {}
        self._watch: Watch[KeyHolder | Unreadable] = Watch(
            client,
            RESOURCES["Secret"],
            _parsed,
            self._changed,
            namespace=namespace,
            field_selector=f"type={SECRET_TYPE}",
        )
        self.on_replaced: Callable[[], object] = lambda: None
        """Called after each reload."""
        self.complete = asyncio.Event()
        """Every Secret was read once, and its keys work. Stays so."""

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch.run())
                await self._watch.synced.wait()
                self._rebuild.ask()  # a namespace without Secrets has no change that would
        finally:
            if self._wake is not None:
                self._wake.cancel()

    @property
    def names(self) -> Iterable[str]:
        """Of all tenants, those without a valid key too."""
        return [key.name for key in self._watch.store]

    @property
    def unreadable(self) -> int:
        """Secrets that give nobody access until they are mended."""
        return sum(isinstance(found, Unreadable) for found in self._watch.store.values())

    def _changed(self, key: ObjectKey) -> None:
        found = self._watch.store.get(key)
        if isinstance(found, Unreadable):
            log.error("Secret %s/%s: its keys do not work until it is mended: %s", *key, found.reason)
        self._rebuild.ask()

    def _build(self) -> None:
        found = self._watch.store.values()
        now = self._today()
        ring = key_ring([holder for holder in found if isinstance(holder, KeyHolder)], now)
        self._tell_shared(ring)
        known = frozenset(self.names)
        self._tenants = {name: tenant for name, tenant in self._tenants.items() if name in known}
        self._access.replace({digest: self._tenant(holder) for digest, holder in ring.keys.items()})
        self.on_replaced()
        self._sleep((ring.until - now).total_seconds() if ring.until is not None else None)
        if self._watch.synced.is_set():
            self.complete.set()

    def _tenant(self, holder: KeyHolder) -> Tenant:
        """The same one as before, so that limits go on from what was used."""
        tenant = self._tenants.setdefault(holder.name, Tenant(holder.name))
        if tenant.policy != holder.policy:
            tenant.follow(holder.policy, self._clock())
        return tenant

    def _tell_shared(self, ring: KeyRing) -> None:
        for digest, names in ring.shared.items():
            if digest not in self._shared:
                said = ", ".join(names)
                log.error("key %s is of several Secrets (%s), so it works for none", digest[:SHOWN_DIGITS], said)
        self._shared = ring.shared

    def _sleep(self, seconds: float | None) -> None:
        """Look again when the next key ends."""
        if self._wake is not None:
            self._wake.cancel()
        loop = asyncio.get_running_loop()
        self._wake = None if seconds is None else loop.call_later(min(seconds, LONGEST_SLEEP), self._rebuild.ask)


def _parsed(secret: dict[str, Any]) -> KeyHolder | Unreadable:
    if "deletionTimestamp" in secret["metadata"]:
        return Unreadable("it is being deleted")
    try:
        return holder_of(secret)
    except ValueError as error:
        return Unreadable(str(error))
