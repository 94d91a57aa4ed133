"""The API server as commands see it: one object read, patched, followed; errors as sentences."""

import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config as kubernetes_config

from tunefleet.kube.client import ApiError, Client, Json, NoClusterError
from tunefleet.kube.credentials import SERVICE_ACCOUNT, in_pod
from tunefleet.kube.resources import RESOURCES

from .access import Access
from .errors import CommandError, ConflictError, forbidden, no_answer, no_kinds, not_found, unauthorized
from .subject import Subject

FIELD_MANAGER = "tunefleet-cli"
WATCH_SECONDS = 60
"""The API server ends a watch after this long; then the object is read anew."""


class Cluster:
    """One API server and one namespace of it."""

    def __init__(self, client: Client, namespace: str, server: str) -> None:
        self._client = client
        self.namespace = namespace
        self._server = server

    async def read(self, subject: Subject) -> Json:
        """The object. Raises CommandError, with near names when there is none."""
        with self._told():
            try:
                return await self._client.get(RESOURCES[subject.kind], self.namespace, subject.name)
            except ApiError as error:
                if error.status != 404 or f'"{subject.name}"' not in error.message:
                    raise
            others = [obj["metadata"]["name"] for obj in await self.all(subject.kind)]
            raise not_found(subject.kind, subject.name, self.namespace, others)

    async def all(self, kind: str) -> list[Json]:
        """Every object of a kind in the namespace."""
        with self._told():
            return (await self._client.list(RESOURCES[kind], self.namespace)).items

    async def patch(self, subject: Subject, body: Mapping[str, Any], *, dry_run: bool = False) -> Json:
        """The object after a merge patch."""
        with self._told():
            return await self._client.merge_patch(
                RESOURCES[subject.kind],
                self.namespace,
                subject.name,
                body,
                field_manager=FIELD_MANAGER,
                dry_run=dry_run,
            )

    async def create(self, kind: str, body: Mapping[str, Any]) -> Json:
        """A new object. Raises ConflictError when there is one of this name."""
        with self._told():
            return await self._client.create(RESOURCES[kind], self.namespace, body)

    async def replace(self, kind: str, obj: Json) -> Json:
        """The object as it stands here. Raises ConflictError when another write came since it was read."""
        with self._told():
            return await self._client.replace(RESOURCES[kind], self.namespace, obj["metadata"]["name"], obj)

    async def delete(self, kind: str, obj: Json) -> None:
        """Delete this very object. Raises ConflictError when the name is another's by now."""
        meta = obj["metadata"]
        with self._told():
            await self._client.delete(RESOURCES[kind], self.namespace, meta["name"], uid=meta["uid"])

    async def follow(self, subject: Subject) -> AsyncIterator[Json]:
        """The object now, and after each change, until its watch ends; an error that waiting may mend ends it too.

        Raises CommandError when the object is deleted, or may not be watched.
        """
        obj = await self.read(subject)
        yield obj
        async with aclosing(self._changes(subject, obj["metadata"]["resourceVersion"])) as changes:
            async for event in changes:
                if event["type"] == "DELETED":
                    raise CommandError(f"{subject} was deleted meanwhile")
                if event["type"] == "ERROR":
                    return
                yield event["object"]

    async def _changes(self, subject: Subject, version: str) -> AsyncGenerator[Json, None]:
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={subject.name}",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + 10)
        path = RESOURCES[subject.kind].path(self.namespace)
        with self._told():
            async with aclosing(self._client.lines(path, query, timeout)) as lines:
                async for line in lines:
                    yield json.loads(line)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors as sentences."""
        try:
            yield
        except ApiError as error:
            raise _sentence(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswerError(no_answer(self._server, str(error) or type(error).__name__).message) from error


class NoAnswerError(CommandError):
    """Nobody answered; a later try may do better."""


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[Cluster]:
    """The cluster that the command line names. Raises CommandError."""
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)  # its words are said in the error
    try:
        client = await Client.connect(access.kubeconfig, access.context)
    except NoClusterError as error:
        raise CommandError(str(error)) from error
    async with client:
        yield Cluster(client, access.namespace or _namespace(access), client.server)


def _namespace(access: Access) -> str:
    """Of the kubeconfig's context, or of the pod."""
    path = access.kubeconfig or os.environ.get("KUBECONFIG")
    if path is None and access.context is None and in_pod():
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    contexts, active = kubernetes_config.list_kube_config_contexts(path or str(Path("~/.kube/config").expanduser()))
    named = next((c for c in contexts if c["name"] == access.context), active)
    return str(named["context"].get("namespace") or "default")


def _sentence(error: ApiError) -> CommandError:
    match error.status:
        case 401:
            return unauthorized()
        case 409:
            return ConflictError(error.message)
        case 403:
            return forbidden(error.message)
        case 404 if "could not find the requested resource" in error.message or "page not found" in error.message:
            return no_kinds()
        case _:
            return CommandError(error.message or str(error))
