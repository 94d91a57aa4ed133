"""The admin port of a gateway with several workers: it asks them over their sockets, and answers as one gateway."""

import asyncio
import json
from pathlib import Path
from typing import NamedTuple, Self

import aiohttp
from aiohttp import web

from tunefleet.plan.demand import DEMAND_PATH, LONG_POLL_SECONDS, DemandReport

from .metrics import CONTENT_TYPE
from .shared_limits import USAGE_PATH, UsageReports
from .worker_demand import WorkerDemand
from .worker_reports import merge_metrics, merge_tables
from .workers import Worker, Workers

ANSWER_SECONDS = 5.0
"""A worker that is asked and says nothing for so long does not answer."""
_SILENT = "no answer\n"


async def serve_worker_admin(app: web.Application, socket: Path) -> web.AppRunner:
    """A worker's admin port: a socket that only its parent's user reaches; `cleanup` the runner to stop."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    return runner


class Answer(NamedTuple):
    """Of a worker."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """It is the answer to what was asked."""
        return self.status == web.HTTPOk.status_code


class WorkerClient:
    """Asks one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.name = worker.socket.stem
        self._session = aiohttp.ClientSession(
            "http://worker", connector=aiohttp.UnixConnector(str(worker.socket)), raise_for_status=False
        )

    async def get(self, path: str, seconds: float = ANSWER_SECONDS, **query: str) -> Answer:
        """Raises OSError (TimeoutError included) when it does not answer."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.get(path, params=query, timeout=timeout) as answer:
                return Answer(answer.status, await answer.text())
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from None

    async def demand(self, after: str) -> DemandReport:
        """Its next report; see WorkerDemand."""
        answer = await self.get(DEMAND_PATH, LONG_POLL_SECONDS + ANSWER_SECONDS, after=after)
        if not answer.ok:
            raise ConnectionError(f"status {answer.status}")
        self._worker.answered = True
        return DemandReport.model_validate_json(answer.text)

    async def close(self) -> None:
        """Ask no more."""
        await self._session.close()


class WorkerAdmin:
    """What the admin port answers. An asynchronous context."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._demand = WorkerDemand()
        self._clients: tuple[WorkerClient, ...] = ()
        self._polls: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._clients = tuple(WorkerClient(worker) for worker in self._workers.all)
        loop = asyncio.get_running_loop()
        self._polls = [loop.create_task(self._demand.follow(c.name, c.demand)) for c in self._clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)
        await asyncio.gather(*[client.close() for client in self._clients])

    def app(self) -> web.Application:
        """What admin_app serves, as of one gateway."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/table", self._table)
        app.router.add_get(DEMAND_PATH, self._answer_demand)
        app.router.add_get(USAGE_PATH, self._usage)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._workers.draining:
            return web.Response(status=503, text="draining\n")
        answers = await self._all("/readyz")
        lines = [f"worker {name}: {a.text if a else _SILENT}" for name, a in answers.items() if a is None or not a.ok]
        return web.Response(status=503, text="".join(lines)) if lines else web.Response(text="ok\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        found = {name: answer.text for name, answer in (await self._all("/metrics")).items() if answer and answer.ok}
        text = await asyncio.to_thread(merge_metrics, found) + self._of_workers()
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    def _of_workers(self) -> str:
        name = "tunefleet_gateway_worker_starts_total"
        counts = (f'{name}{{worker="{w.socket.stem}"}} {w.starts}\n' for w in self._workers.all)
        return f"# HELP {name} Times that a worker was started.\n# TYPE {name} counter\n{''.join(counts)}"

    async def _usage(self, _request: web.Request) -> web.Response:
        answers = (await self._all(USAGE_PATH)).values()
        said = [UsageReports.model_validate_json(answer.text) for answer in answers if answer and answer.ok]
        return web.json_response(UsageReports.together(said).dump())

    async def _table(self, _request: web.Request) -> web.Response:
        found = [json.loads(answer.text) for answer in (await self._all("/table")).values() if answer and answer.ok]
        return web.json_response(merge_tables(found)) if found else web.Response(status=503, text="no worker answers\n")

    async def _answer_demand(self, request: web.Request) -> web.Response:
        report = await self._demand.next_report(request.query.get("after", ""))
        return web.json_response(report.dump())

    async def _all(self, path: str) -> dict[str, Answer | None]:
        """By name; None: it does not answer."""
        answers = await asyncio.gather(*[_answer(client, path) for client in self._clients])
        return dict(zip([client.name for client in self._clients], answers, strict=True))


async def _answer(client: WorkerClient, path: str) -> Answer | None:
    try:
        return await client.get(path)
    except OSError:
        return None
