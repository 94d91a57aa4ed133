"""Facts for one decision: the store as it is, and the metadata of the Secrets of an endpoint, which are not watched."""

import asyncio

from tunefleet.api.names import child_name
from tunefleet.kube.writer import Target, Writer
from tunefleet.plan.facts import Facts, Key, ObjectRef
from tunefleet.plan.fallback_standing import fallback_secret

from .store import Store

SECRET_SECONDS = 10.0
"""What is known of a Secret counts for so long; then a decision about its endpoint looks again."""


class Gatherer:
    """Gives deciders their facts."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer
        self._looked: dict[ObjectRef, float] = {}

    async def gather(self, key: ObjectRef) -> Facts:
        """What is known now, frozen. Raises ApiError and what aiohttp raises."""
        if key.kind == "InferenceEndpoint":
            await self._look_for_secret(key)
            await self._look_for_fallback(Key(key.namespace, key.name))
        return self._store.facts()

    async def _look_for_fallback(self, endpoint: Key) -> None:
        known = self._store.endpoint(endpoint)
        secret = fallback_secret(known) if known else None
        if secret is None:
            return
        ref = ObjectRef("Secret", *secret)
        now = asyncio.get_running_loop().time()
        if now - self._looked.get(ref, float("-inf")) >= SECRET_SECONDS:
            self._store.secrets[secret] = await self._writer.read_metadata(Target(*ref)) is not None
            self._looked[ref] = now

    async def _look_for_secret(self, endpoint: ObjectRef) -> None:
        ref = ObjectRef("Secret", endpoint.namespace, child_name(endpoint.name, "engine"))
        if self._store.seen(endpoint) is None:
            self._looked.pop(ref, None)
            return
        now = asyncio.get_running_loop().time()
        if now - self._looked.get(ref, float("-inf")) < SECRET_SECONDS:
            return
        found = await self._writer.read_metadata(Target(*ref))
        self._looked[ref] = now
        known = self._store.seen(ref)
        if known and (found is None or found["metadata"]["uid"] != known.uid):
            self._store.remove(ref, known.uid)
        if found:
            self._store.put(found)
