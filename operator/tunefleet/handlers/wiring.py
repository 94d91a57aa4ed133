"""kopf as a source of events: one index and one event handler a kind, each a line.

The index is what makes kopf list every kind before it calls any event handler, the Lease's included: the first event
of the Lease says that everything is listed. No create, update or delete handlers, hence no finalizers and no
annotations; handlers return nothing, hence nothing is written into statuses; posting, peering and scanning are off.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import kopf

from tunefleet.kube.resources import RESOURCES
from tunefleet.reconcile.watched import WATCHED

log = logging.getLogger(__name__)

Take = Callable[[dict[str, Any]], None]

NETWORK_SECONDS = 20.0
CONNECT_SECONDS = 5.0
ERROR_BACKOFFS = (0.2, 0.5, 1, 2, 4, 8)
"""A watch that is refused (403, 5xx) for longer than these together ends the process; connections that break do not."""
WATCH_SECONDS = 290
"""The API server ends each watch after this; kopf goes on from where it was."""
SILENCE_SECONDS = 75.0
"""Bookmarks come every minute; a quieter watch is taken for dead and opened anew."""


class Sink(Protocol):
    """Takes events."""

    def observe(self, obj: dict[str, Any]) -> None:
        """An object was listed or written."""

    def deleted(self, obj: dict[str, Any]) -> None:
        """An object was deleted."""

    def lease_seen(self, lease: dict[str, Any]) -> None:
        """A Lease of the operator's name was listed or written."""

    def lease_listed(self) -> None:
        """kopf listed Leases: at the start, and whenever a watch could not go on where it was."""


def build_registry(sink: Sink) -> kopf.OperatorRegistry:
    """The handlers of every watched kind."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(login)
    for kind in WATCHED:
        observed = partial(_observed, sink.observe, kind)
        deleted = partial(_deleted, sink.deleted, kind)
        kopf.index(*_key(kind), registry=registry, id=f"list-{kind}")(observed)
        kopf.on.event(*_key(kind), registry=registry, id=f"watch-{kind}")(deleted)
    kopf.on.event(*_key("Lease"), registry=registry, id="heartbeat")(partial(_heartbeat, sink))
    return registry


def build_settings(lease: str) -> kopf.OperatorSettings:
    """kopf's settings; `lease` is the name of the operator's Lease."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.networking.request_timeout = NETWORK_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = ERROR_BACKOFFS
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + NETWORK_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.chunk_size = 500
    settings.queueing.exit_timeout = 0.5
    for kind, labels in WATCHED.items():
        if labels:
            settings.watching.label_selectors[_key(kind)] = labels
    settings.watching.field_selectors[_key("Lease")] = f"metadata.name={lease}"
    return settings


async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """As kube/client.py does: KUBECONFIG, else the pod's service account, else ~/.kube/config."""
    if os.environ.get("KUBECONFIG"):
        return kopf.login_with_kubeconfig(**kwargs)
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _key(kind: str) -> tuple[str, str, str]:
    resource = RESOURCES[kind]
    return resource.group, resource.api_version.rpartition("/")[2], resource.plural


async def _observed(observe: Take, kind: str, body: kopf.Body, **_: Any) -> None:
    _safely(observe, _plain(kind, dict(body)))


async def _deleted(deleted: Take, kind: str, event: kopf.RawEvent, **_: Any) -> None:
    if event["type"] == "DELETED":
        _safely(deleted, _plain(kind, dict(event["object"])))


async def _heartbeat(sink: Sink, event: kopf.RawEvent, **_: Any) -> None:
    _safely(sink.lease_seen, dict(event["object"]))
    if event["type"] is None:
        sink.lease_listed()


def _plain(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Objects of a list come without kind and version."""
    return {**obj, "apiVersion": RESOURCES[kind].api_version, "kind": kind}


def _safely(take: Take, obj: dict[str, Any]) -> None:
    """kopf never again calls an index for an object for which it once failed; so it never fails."""
    try:
        take(obj)
    except Exception:
        log.exception("event of %s %s was not taken in", obj.get("kind"), obj["metadata"].get("name"))
