"""Events about objects: what `kubectl describe` shows. Repeats are counted on one Event, not posted anew."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.names import FIELD_MANAGER

from .client import ApiError, Client
from .fence import Fence, write_allowed
from .resources import RESOURCES
from .writer import NOT_FOUND, Target

COMPONENT = "tunefleet-operator"
REPEAT_SECONDS = 60.0
"""The same Event about the same object is not sent more often."""
REMEMBERED = 4096
"""Events whose repeats are recognised."""


class Occurrence(NamedTuple):
    """What happened to which object."""

    target: Target
    uid: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class _Posted:
    name: str
    count: int
    at: float


class Recorder:
    """Posts Events. Nothing depends on an Event, so what cannot be posted raises and may be forgotten."""

    def __init__(
        self,
        client: Client,
        fence: Fence,
        instance: str,
        *,
        clock: Callable[[], float] | None = None,
        on_write: Callable[[str, str], None] = lambda _verb, _kind: None,
    ) -> None:
        """`instance` names this process; `clock` gives seconds."""
        self._client = client
        self._fence = fence
        self._instance = instance
        self._clock = clock or asyncio.get_running_loop().time
        self._on_write = on_write
        self._posted: OrderedDict[Occurrence, _Posted] = OrderedDict()

    async def record(self, occurrence: Occurrence) -> None:
        """Post it, or count it on the one that was posted before. Raises what Writer raises."""
        former = self._posted.get(occurrence)
        now = self._clock()
        if former and now - former.at < REPEAT_SECONDS:
            return
        posted = (former and await self._count(occurrence, former)) or await self._post(occurrence)
        self._remember(occurrence, posted)

    async def _post(self, occurrence: Occurrence) -> _Posted:
        name = f"{occurrence.target.name[:200]}.{int(datetime.now(UTC).timestamp() * 1e6):x}"
        async with write_allowed(self._fence, lambda: self._on_write("create", "Event")):
            await self._client.create(
                RESOURCES["Event"], occurrence.target.namespace, event(occurrence, name, self._instance, _now())
            )
        return _Posted(name, 1, self._clock())

    async def _count(self, occurrence: Occurrence, former: _Posted) -> _Posted | None:
        """None when the API server has forgotten it; it keeps Events for an hour."""
        body = {"count": former.count + 1, "lastTimestamp": _now()}
        async with write_allowed(self._fence, lambda: self._on_write("patch", "Event")):
            try:
                await self._client.merge_patch(
                    RESOURCES["Event"], occurrence.target.namespace, former.name, body, field_manager=FIELD_MANAGER
                )
            except ApiError as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        return _Posted(former.name, former.count + 1, self._clock())

    def _remember(self, occurrence: Occurrence, posted: _Posted) -> None:
        self._posted[occurrence] = posted
        self._posted.move_to_end(occurrence)
        if len(self._posted) > REMEMBERED:
            self._posted.popitem(last=False)


def event(occurrence: Occurrence, name: str, instance: str, now: str) -> dict[str, Any]:
    """The Event object, seen once at `now` (RFC 3339)."""
    kind, namespace, about = occurrence.target
    resource = RESOURCES[kind]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": resource.api_version,
            "kind": kind,
            "namespace": namespace,
            "name": about,
            "uid": occurrence.uid,
        },
        "type": occurrence.type,
        "reason": occurrence.reason,
        "message": occurrence.message[:MAX_MESSAGE],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
