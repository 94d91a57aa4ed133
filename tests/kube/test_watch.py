"""A store that follows the API server through everything that happens to a watch."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunefleet.kube import watch as watch_module
from tunefleet.kube.client import Client, Listing
from tunefleet.kube.credentials import Server
from tunefleet.kube.resources import RESOURCES
from tunefleet.kube.watch import ObjectKey, Watch, backoff

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(watch_module, "LAST_BACKOFF", 0.01)


def obj(name: str, version: int, **more: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "ns", "resourceVersion": str(version)}, **more}


@dataclass
class Stream:
    """One watch request: sends what the test says."""

    request: web.Request
    response: web.StreamResponse

    @property
    def version(self) -> str:
        return self.request.query["resourceVersion"]

    async def send(self, type_: str, object_: Json) -> None:
        await self.raw(json.dumps({"type": type_, "object": object_}).encode() + b"\n")

    async def raw(self, data: bytes) -> None:
        await self.response.write(data)

    def reset(self) -> None:
        transport = self.request.transport
        assert transport is not None
        transport.abort()


Script = Callable[[Stream], Awaitable[None]]


async def wait(_stream: Stream) -> None:
    await asyncio.Event().wait()


@dataclass
class ApiServer:
    """Lists what `objects` holds; each watch runs the next script, the last one for good."""

    objects: list[Json] = field(default_factory=list)
    version: int = 1
    scripts: list[Script] = field(default_factory=lambda: [wait])
    lists: int = 0
    refusals: list[int] = field(default_factory=list)
    """Status codes for the next lists."""
    page: int = 500
    queries: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        if self.refusals:
            code = self.refusals.pop(0)
            body = {"kind": "Status", "reason": "Because", "message": "not now", "code": code}
            return web.json_response(body, status=code)
        start = int(request.query.get("continue", 0))
        end = start + self.page
        meta: Json = {"resourceVersion": str(self.version)}
        if end < len(self.objects):
            meta["continue"] = str(end)
        return web.json_response({"metadata": meta, "items": self.objects[start:end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        response = web.StreamResponse()
        await response.prepare(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with suppress(ConnectionError):
            await script(Stream(request, response))
        return response


@dataclass
class Followed:
    """A running watch, and what it said."""

    watch: Watch[Json]
    changes: asyncio.Queue[tuple[str, str | None]]

    async def next(self, count: int) -> list[tuple[str, str | None]]:
        """The next changes: name, and the version now in the store."""
        return [await asyncio.wait_for(self.changes.get(), 10) for _ in range(count)]


@asynccontextmanager
async def following(server: ApiServer, **options: Any) -> AsyncIterator[Followed]:
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ns/pods", server.handle)
    async with TestServer(app, host="127.0.0.1") as http, Client(Server(f"http://127.0.0.1:{http.port}")) as client:
        changes: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

        def changed(key: ObjectKey) -> None:
            now = watch.store.get(key)
            changes.put_nowait((key.name, now["metadata"]["resourceVersion"] if now else None))

        parse = options.pop("parse", lambda o: o)
        watch = Watch(client, RESOURCES["Pod"], parse, changed, namespace="ns", **options)
        task = asyncio.create_task(watch.run())
        try:
            yield Followed(watch, changes)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_page_is_let_go_before_the_next_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    async def pages(client: Client, *args: Any) -> AsyncIterator[Listing]:
        async for page in list_in_pages(client, *args):
            yield page
            kept.append(len(page.items))

    list_in_pages = Client.pages
    monkeypatch.setattr(Client, "pages", pages)
    async with following(ApiServer([obj(name, 1) for name in "abcdef"], page=2)) as followed:
        assert [name for name, _ in await followed.next(6)] == list("abcdef")
    assert kept[:2] == [0, 0]


async def test_a_list_then_its_changes() -> None:
    async def script(stream: Stream) -> None:
        await stream.send("ADDED", obj("c", 5))
        await stream.send("MODIFIED", obj("a", 6))
        await stream.send("BOOKMARK", obj("", 7))
        await stream.send("DELETED", obj("b", 8))
        await wait(stream)

    server = ApiServer([obj("a", 1), obj("b", 2)], version=4, scripts=[script])
    async with following(server, label_selector="x=y") as followed:
        assert await followed.next(5) == [("a", "1"), ("b", "2"), ("c", "5"), ("a", "6"), ("b", None)]
        assert set(followed.watch.store) == {("ns", "a"), ("ns", "c")}
        assert followed.watch.synced.is_set()
        assert followed.watch.heard > 0
    query = server.queries[0]
    assert (query["resourceVersion"], query["allowWatchBookmarks"], query["labelSelector"]) == ("4", "true", "x=y")
    assert server.lists == 1


async def test_an_empty_list_is_synced_too() -> None:
    async with following(ApiServer()) as followed:
        await asyncio.wait_for(followed.watch.synced.wait(), 10)
        assert followed.watch.store == {}


async def test_lists_come_in_pages() -> None:
    async with following(ApiServer([obj(str(n), n) for n in range(5)], page=2)) as followed:
        assert len(await followed.next(5)) == 5


async def ended(_stream: Stream) -> None:
    """A regular end, as the API server does every few minutes."""


async def cut_off(stream: Stream) -> None:
    stream.reset()


async def torn(stream: Stream) -> None:
    await stream.raw(b'{"type":"ADDED","obj')


async def too_old(stream: Stream) -> None:
    await stream.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


async def troubled(stream: Stream) -> None:
    await stream.send("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"})


@pytest.mark.parametrize("interruption", [ended, cut_off, torn, troubled])
async def test_after_an_interruption_it_goes_on_from_the_same_version(interruption: Script) -> None:
    async def first(stream: Stream) -> None:
        await stream.send("BOOKMARK", obj("", 9))
        await interruption(stream)

    async def second(stream: Stream) -> None:
        assert stream.version == "9"
        await stream.send("MODIFIED", obj("a", 10))
        await wait(stream)

    server = ApiServer([obj("a", 1)], version=4, scripts=[first, interruption, second])
    async with following(server) as followed:
        assert await followed.next(2) == [("a", "1"), ("a", "10")]
        assert server.lists == 1


async def test_after_410_gone_it_lists_again_and_finds_what_it_missed() -> None:
    async def first(stream: Stream) -> None:
        server.objects = [obj("b", 2), obj("c", 20)]
        await too_old(stream)

    server = ApiServer([obj("a", 1), obj("b", 2)], scripts=[first, wait])
    async with following(server) as followed:
        assert await followed.next(4) == [("a", "1"), ("b", "2"), ("c", "20"), ("a", None)]
        assert server.lists == 2
        assert followed.changes.empty()  # b is as it was


async def test_a_refused_list_is_tried_again() -> None:
    server = ApiServer([obj("a", 1)], refusals=[403, 500, 410])
    async with following(server) as followed:
        assert await followed.next(1) == [("a", "1")]
        assert server.lists == 4


async def test_a_silent_stream_is_taken_for_dead() -> None:
    async def second(stream: Stream) -> None:
        await stream.send("MODIFIED", obj("a", 2))
        await wait(stream)

    async with following(ApiServer([obj("a", 1)], scripts=[wait, second]), silence_seconds=0.05) as followed:
        assert await followed.next(2) == [("a", "1"), ("a", "2")]


async def test_an_object_that_cannot_be_read_is_left_out() -> None:
    def parse(value: Json) -> Json:
        if value.get("bad"):
            raise ValueError("no such field")
        return value

    async def script(stream: Stream) -> None:
        await stream.send("MODIFIED", obj("b", 4, bad=True))
        await stream.send("MODIFIED", obj("a", 5))
        await wait(stream)

    server = ApiServer([obj("a", 1, bad=True), obj("b", 2)], scripts=[script])
    async with following(server, parse=parse) as followed:
        assert await followed.next(3) == [("b", "2"), ("b", None), ("a", "5")]


async def test_a_bug_in_the_callback_is_not_outlived() -> None:
    def changed(_key: ObjectKey) -> None:
        raise KeyError("bug")

    app = web.Application()
    app.router.add_get("/api/v1/pods", ApiServer([obj("a", 1)]).handle)
    async with TestServer(app, host="127.0.0.1") as http, Client(Server(f"http://127.0.0.1:{http.port}")) as client:
        watch = Watch(client, RESOURCES["Pod"], lambda o: o, changed)
        with pytest.raises(KeyError, match="bug"):
            await watch.run()


@pytest.mark.parametrize(("failures", "most"), [(1, 0.1), (2, 0.2), (5, 1.6), (9, 10), (1000, 10)])
def test_back_off_doubles_up_to_its_end(monkeypatch: pytest.MonkeyPatch, failures: int, most: float) -> None:
    monkeypatch.setattr(watch_module, "FIRST_BACKOFF", 0.1)
    monkeypatch.setattr(watch_module, "LAST_BACKOFF", 10)
    waits = [backoff(failures) for _ in range(100)]
    assert most / 2 <= min(waits) <= max(waits) <= most


@pytest.mark.apiserver
async def test_a_real_api_server(api: Client, namespace: str) -> None:
    def account(name: str, **labels: str) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "labels": {"x": "y", **labels}},
        }

    changes: asyncio.Queue[str] = asyncio.Queue()
    resource = RESOURCES["ServiceAccount"]
    await api.create(resource, namespace, account("early"))
    watch: Watch[Json] = Watch(
        api, resource, lambda o: o, lambda key: changes.put_nowait(key.name), namespace=namespace, label_selector="x=y"
    )
    task = asyncio.create_task(watch.run())
    try:
        assert await asyncio.wait_for(changes.get(), 10) == "early"
        await watch.synced.wait()
        await api.create(resource, namespace, account("late"))
        assert await asyncio.wait_for(changes.get(), 10) == "late"
        await api.apply(resource, namespace, "late", account("late", more="z"), field_manager="tests")
        assert await asyncio.wait_for(changes.get(), 10) == "late"
        assert watch.store[ObjectKey(namespace, "late")]["metadata"]["labels"]["more"] == "z"
        await api.delete(resource, namespace, "early")
        assert await asyncio.wait_for(changes.get(), 10) == "early"
        assert list(watch.store) == [(namespace, "late")]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.apiserver
async def test_a_version_that_a_real_api_server_no_longer_has(api: Client, namespace: str) -> None:
    """It answers 410 to a version of long ago, or lists from there on; either way the store becomes current."""
    resource = RESOURCES["ServiceAccount"]
    seen = asyncio.Event()
    watch: Watch[Json] = Watch(api, resource, lambda o: o, lambda _key: seen.set(), namespace=namespace)
    listing = watch._relist

    async def relist() -> str:
        await listing()
        return "1"

    watch._relist = relist  # type: ignore[method-assign]
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(watch.synced.wait(), 10)
        watch._relist = listing  # type: ignore[method-assign]
        await api.create(resource, namespace, {"metadata": {"name": "after"}})
        while ObjectKey(namespace, "after") not in watch.store:
            seen.clear()
            await asyncio.wait_for(seen.wait(), 10)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
