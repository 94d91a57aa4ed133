"""List and watch of one resource into a store, for as long as the process lives.

The contract that callers build on (level-triggered, so it speaks of states, not of events):
- `store` holds the latest known state of every object, each turned into what the caller needs by `parse`, so that
  a store of thousands keeps no managedFields and no lineage in memory.
- `on_change(key)` follows every change of the store, deletions included, after the store has changed. It is called
  in the loop, must be quick, and an exception in it ends the watch: a bug shall be seen, not outlived.
- `synced` is set after the first list; until then an absent object means nothing.
- A lost connection, an expired resourceVersion (410 Gone), a refusal and a silent stream all end in a reconnect
  with back-off; the store keeps its last state meanwhile. What was deleted while away is found by the next list.
- An object that `parse` refuses (ValueError) is logged and left out; the others are not held up by it.
- `heard` is the time of the last sign of life (event, bookmark or list), for liveness probes.

Why not the library's watch: it reconnects with the newest event's version but relists nothing after a 410 that
persists, keeps no store, and a connection that went silent blocks it for good.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

import aiohttp

from .client import ApiError, Client, Json, selection
from .resources import Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

SERVER_TIMEOUT_SECONDS = 290
"""The API server ends a watch after this long; the next one goes on from the same version."""
SILENCE_SECONDS = 90.0
"""Bookmarks come about every minute; a stream that is silent for longer is taken for dead."""
GONE = 410
FIRST_BACKOFF = 0.1
LAST_BACKOFF = 10.0


class ObjectKey(NamedTuple):
    """Namespace (empty for cluster-wide resources) and name."""

    namespace: str
    name: str


def key_of(obj: Mapping[str, Any]) -> ObjectKey:
    """The key of a Kubernetes object."""
    meta = obj["metadata"]
    return ObjectKey(meta.get("namespace", ""), meta["name"])


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, with half of it random."""
    ceiling = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 16))
    return float(ceiling * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret


class Watch(Generic[T]):
    """One resource, in one namespace or all, as a store that stays current while `run` runs."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        parse: Callable[[Json], T],
        on_change: Callable[[ObjectKey], None],
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._client = client
        self._resource = resource
        self._parse = parse
        self._on_change = on_change
        self._namespace = namespace
        self._selectors = (label_selector, field_selector)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=silence_seconds)
        self._versions: dict[ObjectKey, str] = {}
        self._values: dict[ObjectKey, T] = {}
        self.store: Mapping[ObjectKey, T] = MappingProxyType(self._values)
        self.synced = asyncio.Event()
        self.heard = float("-inf")
        """Loop time of the last sign of life."""

    async def run(self) -> None:
        """List, then watch; again and again until cancelled."""
        failures = 0
        version: str | None = None
        while True:
            failures += 1  # until something is heard
            try:
                if version is None:
                    version = await self._relist()
                async for newest in self._follow(version):
                    version, failures = newest, 0
            except ApiError as error:
                if error.status == GONE:
                    version = None
                log.log(self._level(error), "%s: %s", self._what, error)
            except (aiohttp.ClientError, TimeoutError, ConnectionError, json.JSONDecodeError) as error:
                log.info("%s: connection lost, %s %s", self._what, type(error).__name__, error)
            if failures:
                await asyncio.sleep(backoff(failures))

    @property
    def _what(self) -> str:
        return f"watch of {self._resource.plural} in {self._namespace or 'all namespaces'}"

    @staticmethod
    def _level(error: ApiError) -> int:
        return logging.INFO if error.status == GONE else logging.WARNING

    async def _relist(self) -> str:
        present: set[ObjectKey] = set()
        version = ""
        async with aclosing(self._client.pages(self._resource, self._namespace, *self._selectors)) as pages:
            async for page in pages:
                self._beat()
                for obj in page.items:
                    present.add(key_of(obj))
                    self._keep(key_of(obj), obj)
                version = page.resource_version
                page.items.clear()  # before the next one takes as much memory
        for key in [key for key in self._versions if key not in present]:
            self._forget(key)
        self.synced.set()
        return version

    async def _follow(self, version: str) -> AsyncIterator[str]:
        """The version after each event, until the stream ends."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(SERVER_TIMEOUT_SECONDS * 4 // 5, SERVER_TIMEOUT_SECONDS)),  # noqa: S311
        } | selection(*self._selectors)
        path = self._resource.path(self._namespace)
        async with aclosing(self._client.lines(path, query, self._timeout)) as lines:
            async for line in lines:
                self._beat()
                yield self._take(json.loads(line))

    def _take(self, event: Json) -> str:
        obj = event["object"]
        match event["type"]:
            case "ERROR":
                raise ApiError(obj.get("code", 0), obj.get("reason", ""), obj.get("message", ""))
            case "DELETED":
                self._forget(key_of(obj))
            case "ADDED" | "MODIFIED":
                self._keep(key_of(obj), obj)
            case _:
                pass  # a bookmark: only its version matters
        resource_version: str = obj["metadata"]["resourceVersion"]
        return resource_version

    def _keep(self, key: ObjectKey, obj: Json) -> None:
        version = obj["metadata"]["resourceVersion"]
        if self._versions.get(key) == version:
            return
        try:
            value = self._parse(obj)
        except ValueError as error:
            log.error("%s: %s/%s cannot be read and is ignored: %s", self._what, *key, error)
            self._forget(key)
            return
        self._versions[key] = version
        self._values[key] = value
        self._on_change(key)

    def _forget(self, key: ObjectKey) -> None:
        if self._versions.pop(key, None) is not None:
            del self._values[key]
            self._on_change(key)

    def _beat(self) -> None:
        self.heard = asyncio.get_running_loop().time()
