"""Requests to the API server by aiohttp, objects as plain dictionaries.

Why not the Kubernetes library's clients: its dynamic one lists every group and version of the cluster before its first
request and wraps each object; its generated APIs know no custom kinds and turn objects into models, which costs more
than the request itself; and under both is aiohttp. Credentials are credentials.py's.
"""

import json
import os
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp

from .credentials import NoClusterError, Server, in_pod, of_pod
from .resources import Resource

__all__ = ["ApiError", "Client", "Json", "Listing", "NoClusterError"]

Json = dict[str, Any]

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
"""Of one answer. A watch has its own."""
PAGE = 500
"""Objects a page of a list: what client-go asks for."""

LONGEST_LINE = 2**21
"""Bytes of an event in a watch: etcd takes objects of 1.5 MiB."""

APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""As `accept`: the answer has metadata and nothing else; of a Secret, no data travels."""


class ApiError(Exception):
    """The API server answered with an error; `reason` is its metav1.Status reason, such as NotFound or Conflict."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @classmethod
    def of(cls, status: int, body: bytes) -> Self:
        """From an answer's body, which is a metav1.Status unless something in between answered."""
        try:
            told = json.loads(body)
            return cls(status, told.get("reason") or "", told.get("message") or "")
        except (ValueError, AttributeError):
            return cls(status, "", body[:500].decode(errors="replace"))


class Listing(NamedTuple):
    """Objects of a collection, as of one resourceVersion."""

    items: list[Json]
    resource_version: str


class Client:
    """One connection pool to one API server. Use as an async context manager, or `aclose` it.

    Every call raises ApiError for an answer that is not 2xx, and aiohttp.ClientError or TimeoutError when there is
    no answer. Nothing is retried here: callers are level-triggered and know better when.
    """

    def __init__(self, server: Server) -> None:
        """Within a running loop."""
        connector = aiohttp.TCPConnector(ssl=server.tls or True)
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=LONGEST_LINE)
        self._server = server
        self.server = server.url
        """URL of the API server."""

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """With this kubeconfig, else KUBECONFIG, else the pod's service account, else ~/.kube/config; of a kubeconfig
        with this context, else its current one.

        Raises NoClusterError with a sentence that says what is missing.
        """
        path = kubeconfig or os.environ.get("KUBECONFIG")
        try:
            if path is None and context is None and in_pod():
                return cls(of_pod())
            from .kubeconfig import of_kubeconfig  # see credentials.py

            return cls(await of_kubeconfig(path, context))
        except NoClusterError as error:
            raise NoClusterError(f"No way to an API server: {error} Set KUBECONFIG, or run in a pod.") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection, watches included."""
        await self._session.close()

    async def get(
        self, resource: Resource, namespace: str | None, name: str, subresource: str | None = None, accept: str = JSON
    ) -> Json:
        """One object. ApiError 404 when it does not exist. `accept`: see METADATA_ONLY."""
        return await self._json("GET", resource.path(namespace, name, subresource), accept=accept)

    async def list(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> Listing:
        """Every object; items carry no apiVersion and kind, as the API server sends them."""
        items: list[Json] = []
        version = ""
        async for page in self.pages(resource, namespace, label_selector):
            items += page.items
            version = page.resource_version
        return Listing(items, version)

    async def pages(
        self, resource: Resource, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> AsyncGenerator[Listing, None]:
        """Every object, a part at a time, for collections that are large in memory."""
        query = {"limit": str(PAGE)} | selection(label_selector, field_selector)
        while True:
            page = await self._json("GET", resource.path(namespace), query=query)
            meta = page["metadata"]
            yield Listing(page.get("items") or [], meta["resourceVersion"])
            if not meta.get("continue"):
                return
            query = query | {"continue": meta["continue"]}

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> Json:
        """A new object. ApiError 409 AlreadyExists when there is one."""
        return await self._json("POST", resource.path(namespace), body=body)

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
    ) -> Json:
        """The whole object. With a resourceVersion in it, ApiError 409 Conflict when another write came first."""
        return await self._json("PUT", resource.path(namespace, name, subresource), body=body)

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
        force: bool = True,
    ) -> Json:
        """Server-side apply of the fields in `body`; fields that this manager applied before and left out go."""
        query = {"fieldManager": field_manager, "force": str(force).lower()}
        path = resource.path(namespace, name, subresource)
        return await self._json("PATCH", path, query=query, body=body, content_type=APPLY)

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Json:
        """RFC 7386: null takes a field away, lists are replaced. A dry run is checked, answered and not stored."""
        path = resource.path(namespace, name, subresource)
        query = {"fieldManager": field_manager} | ({"dryRun": "All"} if dry_run else {})
        return await self._json("PATCH", path, query=query, body=body, content_type=MERGE_PATCH)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
    ) -> Json:
        """Delete; with a uid only that very object (ApiError 409 when the name is another's by now)."""
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        return await self._json("DELETE", resource.path(namespace, name), body=options)

    async def lines(
        self,
        path: str,
        query: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed answer, as they come. For watches and logs."""
        answer = await self._call("GET", path, query=query, timeout=timeout)
        try:
            async for line in answer.content:
                yield line
        finally:
            answer.close()

    async def _json(self, method: str, path: str, **kwargs: Any) -> Json:
        answer = await self._call(method, path, **kwargs)
        async with answer:
            text = await answer.read()
            try:
                body: Json = json.loads(text)
            except ValueError:  # something in between answered
                raise ApiError(answer.status, "", text[:500].decode(errors="replace")) from None
            return body

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: aiohttp.ClientTimeout = REQUEST_TIMEOUT,  # noqa: ASYNC109
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "Content-Type": content_type}
        if authorization := self._server.authorization():
            headers["Authorization"] = authorization
        answer = await self._session.request(
            method,
            self.server + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers=headers,
            timeout=timeout,
            proxy=self._server.proxy,
            server_hostname=self._server.tls_name,
        )
        if 200 <= answer.status <= 299:
            return answer
        async with answer:
            raise ApiError.of(answer.status, await answer.read())


def selection(label_selector: str, field_selector: str) -> dict[str, str]:
    """The query that selects so; empty selectors select everything."""
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: selector for name, selector in given.items() if selector}
