"""Secrets with keys, as commands read and write them."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import yaml

from tunefleet.api.api_key import HASHES, POLICY, SECRET_TYPE, ApiKeyPolicy
from tunefleet.api.names import MANAGED_BY, MANAGER
from tunefleet.plan.keys import KeyHolder, holder_of, written

from .cluster import Cluster
from .errors import CommandError, ConflictError
from .subject import Subject

T = TypeVar("T")

Json = dict[str, Any]
KIND = "Secret"
TRIES = 5
"""Of a change that others' writes come between."""


@dataclass(frozen=True)
class Stored:
    """A Secret, and what it says; None and why when it cannot be read."""

    secret: Json
    holder: KeyHolder | None
    fault: str = ""

    @property
    def name(self) -> str:
        """Of the holder."""
        name: str = self.secret["metadata"]["name"]
        return name


def manifest(holder: KeyHolder) -> Json:
    """The Secret of a new holder."""
    return {
        "apiVersion": "v1",
        "kind": KIND,
        "type": SECRET_TYPE,
        "metadata": {"name": holder.name, "labels": {MANAGED_BY: MANAGER}},
        "data": {HASHES: _encoded(written(holder.hashes)), POLICY: _encoded(_text(holder.policy))},
    }


def _text(policy: ApiKeyPolicy) -> str:
    return yaml.safe_dump(policy.dump(), sort_keys=False)


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def create(cluster: Cluster, holder: KeyHolder) -> None:
    """Store a new holder. Raises CommandError that says what to do."""
    try:
        await cluster.create(KIND, manifest(holder))
    except ConflictError:
        raise CommandError(
            f"there is a Secret {holder.name} in namespace {cluster.namespace} already: `tunefleet keys rotate "
            f"{holder.name}` gives it another key, `tunefleet keys revoke {holder.name}` ends it"
        ) from None
    except CommandError as error:
        if f'namespaces "{cluster.namespace}" not found' not in error.message:
            raise
        raise no_namespace(cluster.namespace) from None


def no_namespace(namespace: str) -> CommandError:
    """Where keys would lie."""
    return CommandError(
        f"there is no namespace {namespace}: the chart makes it with gateway.auth=keys; or name the one that your "
        "gateways read keys from by --keys-namespace"
    )


async def stored(cluster: Cluster) -> list[Stored]:
    """Every holder, by name."""
    secrets = [secret for secret in await cluster.all(KIND) if secret.get("type") == SECRET_TYPE]
    return [_stored(secret) for secret in sorted(secrets, key=lambda secret: str(secret["metadata"]["name"]))]


async def read(cluster: Cluster, name: str) -> Stored:
    """One holder. Raises CommandError when there is none."""
    secret = await cluster.read(Subject(KIND, name))
    if secret.get("type") != SECRET_TYPE:
        raise CommandError(f"Secret {name} in namespace {cluster.namespace} has no keys: its type is not {SECRET_TYPE}")
    return _stored(secret)


async def change(cluster: Cluster, name: str, changed: Callable[[KeyHolder], KeyHolder]) -> tuple[KeyHolder, KeyHolder]:
    """The holder before and after; what `changed` makes of it has been stored, and what it leaves alone stays as it is
    written."""

    async def attempt() -> tuple[KeyHolder, KeyHolder]:
        found = await read(cluster, name)
        former = found.holder
        if former is None:
            raise CommandError(f"Secret {name} cannot be read, mend it first: {found.fault}")
        holder = changed(former)
        data: Json = dict(found.secret["data"])
        if holder.hashes != former.hashes:
            data[HASHES] = _encoded(written(holder.hashes))
        if holder.policy != former.policy:
            data[POLICY] = _encoded(_text(holder.policy))
        await cluster.replace(KIND, {**found.secret, "data": data})
        return former, holder

    return await _again(attempt)


async def remove(cluster: Cluster, name: str) -> Stored:
    """The holder that was deleted, readable or not."""

    async def attempt() -> Stored:
        found = await read(cluster, name)
        await cluster.delete(KIND, found.secret)
        return found

    return await _again(attempt)


async def _again(attempt: Callable[[], Awaitable[T]]) -> T:
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except ConflictError:
            continue
    return await attempt()


def _stored(secret: Json) -> Stored:
    try:
        return Stored(secret, holder_of(secret))
    except ValueError as error:
        return Stored(secret, None, str(error))


def now() -> datetime:
    """Wall-clock time, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
