"""Secrets are not watched: what is known of those of an endpoint is looked at before a decision, now and then."""

import asyncio
from typing import Any

from tests.plan.fleet import NAMESPACE, SETTINGS
from tests.reconcile.virtual_time import run_virtual
from tunefleet.kube.writer import Target
from tunefleet.plan.facts import Key, ObjectRef
from tunefleet.reconcile.gather import SECRET_SECONDS, Gatherer
from tunefleet.reconcile.store import Store

CHAT = ObjectRef("InferenceEndpoint", NAMESPACE, "chat")
SECRET = Key(NAMESPACE, "provider")
EXTERNAL = {"url": "https://models.example.com/v1", "model": "m", "secretRef": {"name": "provider"}}


class Secrets:
    """The API server's, as far as their metadata goes."""

    def __init__(self) -> None:
        self.exist: set[str] = set()
        self.looked: list[str] = []

    async def read_metadata(self, target: Target) -> dict[str, Any] | None:
        self.looked.append(target.name)
        if target.name not in self.exist:
            return None
        meta = {"name": target.name, "namespace": target.namespace, "uid": target.name, "resourceVersion": "1"}
        return {"kind": "Secret", "metadata": meta}


def store_of(fallback: dict[str, Any] | None) -> Store:
    store = Store(SETTINGS)
    spec = {"model": {"name": "tiny", "version": 1}} | ({"fallback": fallback} if fallback else {})
    meta = {"name": "chat", "namespace": NAMESPACE, "uid": "u", "resourceVersion": "1"}
    store.put({"kind": "InferenceEndpoint", "metadata": meta, "spec": spec})
    return store


def test_the_secret_of_a_fallback_is_looked_for() -> None:
    async def scene() -> None:
        secrets, store = Secrets(), store_of({"external": EXTERNAL})
        gatherer = Gatherer(store, secrets)  # type: ignore[arg-type]
        assert (await gatherer.gather(CHAT)).secrets == {SECRET: False}
        secrets.exist.add("provider")
        assert (await gatherer.gather(CHAT)).secrets == {SECRET: False}  # asked a moment ago
        await asyncio.sleep(SECRET_SECONDS)
        assert (await gatherer.gather(CHAT)).secrets == {SECRET: True}
        assert secrets.looked.count("provider") == 2

    run_virtual(scene())


def test_without_a_fallback_no_secret_of_the_users_is_looked_at() -> None:
    async def scene() -> None:
        secrets = Secrets()
        for fallback in (None, {"endpointRef": {"name": "spare"}}):
            assert (await Gatherer(store_of(fallback), secrets).gather(CHAT)).secrets == {}  # type: ignore[arg-type]
        assert set(secrets.looked) == {"chat-engine"}

    run_virtual(scene())
