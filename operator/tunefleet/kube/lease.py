"""Leader election on a coordination.k8s.io Lease, with fencing: one process acts, the others wait.

The numbers, for a lease of 10 s (tests/kube/test_lease.py runs them):
- the holder renews every 2.5 s and may write for 6.7 s after it *sent* its last successful renewal;
- a candidate looks every 1 s and takes over when the record has not changed for 9 s by its own clock, so no two
  clocks are ever compared. It saw the last renewal after it was sent, hence at least 2.3 s pass between the last
  moment at which the old holder may write and the first at which the new one does;
- after a kill the successor holds the Lease at most 10 s after the last renewal; after a release, after the next look.

The library's own election (kubernetes.aio.leaderelection) has neither a fence nor a release, and logs a traceback
each time that another candidate is quicker.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp

from .client import ApiError, Client, Json
from .fence import LeadershipLostError
from .resources import RESOURCES
from .writer import CONFLICT, NOT_FOUND

log = logging.getLogger(__name__)

RENEW = 0.25
"""Of the lease: how often the holder renews."""
WRITE = 2 / 3
"""Of the lease: how long after sending a renewal the holder may write."""
LOOK = 0.1
"""Of the lease: how often a candidate looks."""
PATIENCE = 0.9
"""Of the lease: how long a candidate sees the same record before it takes over."""

_NO_ANSWER = (ApiError, aiohttp.ClientError, TimeoutError, OSError)


class Lease:
    """One candidate for one Lease. `acquire`, then `hold` while acting, then `release`. It is a Fence."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        seconds: float = 10.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`identity` must be unique to this process; `clock` gives seconds and never goes back."""
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._clock = clock or asyncio.get_running_loop().time
        self._writable_until = float("-inf")
        self._current: Json = {}
        """The Lease as last read or written."""
        self._unchanged_since = float("-inf")

    def remaining(self) -> float:
        """Seconds for which this process may write; zero or less when it may not."""
        return self._writable_until - self._clock()

    async def acquire(self) -> None:
        """Wait until the Lease is ours. Errors of the API server are waited out."""
        while True:
            try:
                wait = await self._try()
            except _NO_ANSWER as error:
                log.warning("Lease %s/%s: %s", self._namespace, self._name, _words(error))
                wait = self._seconds * LOOK
            if self.remaining() > 0:
                log.info("%s holds the Lease %s/%s", self._identity, self._namespace, self._name)
                return
            await asyncio.sleep(wait)

    async def hold(self) -> None:
        """Renew until cancelled. Raises LeadershipLostError when the Lease is another's or was not renewed in time."""
        wait = self._seconds * RENEW
        while True:
            await asyncio.sleep(max(0.0, min(wait, self.remaining())))
            if self.remaining() <= 0:
                raise LeadershipLostError(f"the Lease {self._namespace}/{self._name} was not renewed in time")
            try:
                await self._renew()
                wait = self._seconds * RENEW
            except _NO_ANSWER as error:
                log.warning("Lease %s/%s not renewed: %s", self._namespace, self._name, _words(error))
                wait = self._seconds * LOOK

    async def release(self) -> None:
        """Stop writing, and let the next one take over at once. Without an answer it takes over when the Lease ends."""
        if self.remaining() <= 0:
            return
        self._writable_until = float("-inf")
        try:
            await self._write({**self._current["spec"], "holderIdentity": ""})
        except _NO_ANSWER as error:
            log.warning("Lease %s/%s not released: %s", self._namespace, self._name, _words(error))

    async def _try(self) -> float:
        """Take the Lease if it is free; else seconds until the next look."""
        try:
            found = await self._client.get(RESOURCES["Lease"], self._namespace, self._name)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            await self._take({})
            return 0.0
        self._notice(found)
        spec = found["spec"]
        if spec.get("holderIdentity"):
            patience = PATIENCE * float(spec.get("leaseDurationSeconds", self._seconds))
            left = self._unchanged_since + patience - self._clock()
            if left > 0:
                return min(left, self._seconds * LOOK)
        await self._take(spec)
        return 0.0

    def _notice(self, found: Json) -> None:
        if found["metadata"]["resourceVersion"] != self._current.get("metadata", {}).get("resourceVersion"):
            self._unchanged_since = self._clock()
        self._current = found

    async def _take(self, former: Json) -> None:
        now = _now()
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._seconds)),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": former.get("leaseTransitions", 0) + 1 if former else 0,
        }
        await self._write_and_hold(spec)

    async def _renew(self) -> None:
        try:
            await self._write_and_hold({**self._current["spec"], "renewTime": _now()})
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            await self._look_who()

    async def _look_who(self) -> None:
        """After a conflict: somebody took the Lease, or just touched it (a label, say)."""
        self._current = await self._client.get(RESOURCES["Lease"], self._namespace, self._name)
        holder = self._current["spec"].get("holderIdentity")
        if holder != self._identity:
            self._writable_until = float("-inf")
            raise LeadershipLostError(f"the Lease {self._namespace}/{self._name} is held by {holder or 'nobody'}")

    async def _write_and_hold(self, spec: Json) -> None:
        """The right to write counts from the sending: the answer may come late."""
        sent = self._clock()
        await self._write(spec)
        self._writable_until = sent + self._seconds * WRITE

    async def _write(self, spec: Json) -> None:
        """Create or replace; a conflict when it is not what was last read."""
        metadata = self._current.get("metadata") or {"name": self._name, "namespace": self._namespace}
        resource = RESOURCES["Lease"]
        body = {"apiVersion": resource.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
        async with asyncio.timeout(self._seconds * RENEW):
            if self._current:
                self._current = await self._client.replace(resource, self._namespace, self._name, body)
            else:
                self._current = await self._client.create(resource, self._namespace, body)


def _words(error: BaseException) -> str:
    """A time-out has no words of its own."""
    return str(error) or type(error).__name__


def _now() -> str:
    """A metav1.MicroTime. For people: nobody decides by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
