"""A hub that speaks enough of the Hugging Face protocol for the real huggingface_hub client, on two loopback ports.

Small files are answered by the hub itself; large ones (LFS) by a redirect to another origin, as the real hub does.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

COMMIT = "a" * 40
OTHER_COMMIT = "b" * 40


@dataclass
class Hub:
    """Repositories by name, revisions by name or commit."""

    repositories: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, COMMIT: COMMIT, "v2": OTHER_COMMIT})
    token: str | None = None
    gated: bool = False
    status: int | None = None
    """When set, everything is answered with this status."""
    storage_headers: list[Mapping[str, str]] = field(default_factory=list)
    """Headers of the requests that reached the storage behind the hub."""
    url: str = ""
    storage_url: str = ""

    async def info(self, request: web.Request) -> web.Response:
        repository, revision = request.match_info["repo"], request.match_info.get("revision", "main")
        if refused := self._refused(request, repository, revision):
            return refused
        siblings = [_sibling(name, content) for name, content in self.repositories[repository].items()]
        return web.json_response(
            {"id": repository, "sha": self.revisions[revision], "siblings": siblings, "private": False}
        )

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        repository, path = request.match_info["repo"], request.match_info["path"]
        if refused := self._refused(request, repository, request.match_info["revision"]):
            return refused
        content = self.repositories[repository].get(path)
        if content is None:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        if path.endswith(".safetensors"):
            raise web.HTTPFound(f"{self.storage_url}/{repository}/{path}")
        return _ranged(request, content)

    async def storage(self, request: web.Request) -> web.Response:
        self.storage_headers.append(dict(request.headers))
        return _ranged(request, self.repositories[request.match_info["repo"]][request.match_info["path"]])

    def _refused(self, request: web.Request, repository: str, revision: str) -> web.Response | None:
        if self.status is not None:
            return web.Response(status=self.status)
        authorized = self.token is None or request.headers.get("Authorization") == f"Bearer {self.token}"
        if repository not in self.repositories or not authorized:
            return web.Response(status=401, headers={"X-Error-Code": "RepoNotFound"})
        if self.gated:
            return web.Response(status=403, headers={"X-Error-Code": "GatedRepo"})
        if revision not in self.revisions:
            return web.Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        return None


def _sibling(name: str, content: bytes) -> dict[str, object]:
    sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}  # noqa: S324
    if name.endswith(".safetensors"):
        digest = hashlib.sha256(content).hexdigest()
        sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
    return sibling


def _ranged(request: web.Request, content: bytes) -> web.Response:
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
    if wanted is None:
        return web.Response(body=content)
    start, end = int(wanted[1]), int(wanted[2]) + 1
    return web.Response(status=206, body=content[start:end])


@asynccontextmanager
async def running_hub(hub: Hub) -> AsyncIterator[Hub]:
    """The hub and its storage while the context is open."""
    front, storage = web.Application(), web.Application()
    front.router.add_get("/api/models/{repo:[^/]+/[^/]+}", hub.info)
    front.router.add_get("/api/models/{repo:[^/]+/[^/]+}/revision/{revision}", hub.info)
    front.router.add_get("/{repo:[^/]+/[^/]+}/resolve/{revision}/{path:.+}", hub.resolve)
    storage.router.add_get("/{repo:[^/]+/[^/]+}/{path:.+}", hub.storage)
    runners = [web.AppRunner(app, shutdown_timeout=0) for app in (front, storage)]
    try:
        for runner in runners:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        hub.url, hub.storage_url = (f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in runners)
        yield hub
    finally:
        for runner in runners:
            await runner.cleanup()
