"""An engine that speaks vLLM 0.32's dialect and computes nothing; test_contract.py holds it against the real one.

What it answers depends on the bytes of the weight file that was loaded, and on nothing else.
"""

import asyncio
import hashlib
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from safetensors import SafetensorError
from safetensors.numpy import load_file

BASE = "tiny-base@v1-0123abcd"
KEY = "engine-key"
_STARTS = itertools.count(1)


@dataclass
class FakeEngine:
    """One engine process and its successors; `restart` is the next one, with an empty registry."""

    base: str = BASE
    key: str = KEY
    max_rank: int = 16
    started: float = 0.0
    loaded: dict[str, str] = field(default_factory=dict)
    """Adapters' names and paths."""
    weights: dict[str, str] = field(default_factory=dict)
    """What was in the files when they were loaded, by name."""
    waiting: int = 0
    """Requests that wait; the engine does not say for which adapter."""
    busy: set[str] = field(default_factory=set)
    """Engine names that have requests."""
    serving: bool = True
    """False: completions fail, as those of an engine that cannot compute."""
    answers_as: dict[str, str] = field(default_factory=dict)
    """Names that are answered under another name."""
    computes_with: dict[str, str] = field(default_factory=dict)
    """Names that are answered with the weights of another name: the fault that no error shows."""
    noise: float = 0.0
    """Largest change of a log-probability from one answer to the next."""
    refuse_load: tuple[int, str] | None = None
    """Status and text of every load, when set."""
    load_gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Loads wait until this is set; it is set from the start."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """("load" | "unload" | "complete", name) in the order of arrival."""
    _called: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None
    _port: int = 0

    def __post_init__(self) -> None:
        self.load_gate.set()
        self._new_process()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        app.router.add_post("/v1/completions", self._complete)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def restart(self) -> None:
        """The container restarts in place: the port closes, then another process listens on it."""
        await self.stop()
        self._new_process()
        await self.start()

    def forget(self) -> None:
        """Another process took over between two looks: nobody saw the port closed."""
        self._new_process()

    def count(self, call: str, name: str) -> int:
        return self.calls.count((call, name))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a call after which this holds."""
        async with self._called:
            await self._called.wait_for(holds)

    async def _note(self, call: str, name: str) -> None:
        self.calls.append((call, name))
        async with self._called:
            self._called.notify_all()

    def _new_process(self) -> None:
        self.started = 1.7952e9 + next(_STARTS)
        self.loaded, self.weights = {}, {}
        self.busy, self.waiting = set(), 0

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.32.0"})

    async def _metrics(self, _: web.Request) -> web.Response:
        names = ",".join(sorted(self.busy))
        return web.Response(
            text=(
                "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.\n"
                "# TYPE process_start_time_seconds gauge\n"
                f"process_start_time_seconds {self.started}\n"
                f'vllm:num_requests_running{{engine="0",model_name="{self.base}"}} {float(len(self.busy))}\n'
                f'vllm:num_requests_waiting{{engine="0",model_name="{self.base}"}} {float(self.waiting)}\n'
                'vllm:lora_requests_info{max_lora="8",running_lora_adapters="old@v1-00000000",'
                'waiting_lora_adapters="old@v1-00000000"} 1.0\n'
                f'vllm:lora_requests_info{{max_lora="8",running_lora_adapters="{names}",'
                f'waiting_lora_adapters="{names}"}} 2.0\n'
            )
        )

    async def _models(self, request: web.Request) -> web.Response:
        if refused := self._unauthorized(request):
            return refused
        cards = [{"id": self.base, "object": "model", "root": "/models/x", "parent": None}]
        cards += [{"id": name, "object": "model", "root": p, "parent": self.base} for name, p in self.loaded.items()]
        return web.json_response({"object": "list", "data": cards})

    async def _load(self, request: web.Request) -> web.Response:
        if refused := self._unauthorized(request):
            return refused
        body = await request.json()
        name, path = body["lora_name"], body["lora_path"]
        await self._note("load", name)
        await self.load_gate.wait()
        if self.refuse_load is not None:
            return _error(self.refuse_load[0], self.refuse_load[1], "InternalServerError")
        if name == self.base:
            return _error(400, f"The lora adapter '{name}' conflicts with a served base model.", "InvalidUserInput")
        if name in self.loaded:
            return _error(
                400,
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set "
                "'load_inplace' to True.",
                "InvalidUserInput",
            )
        if problem := _adapter_problem(name, Path(path), self.max_rank):
            return problem
        self.loaded[name], self.weights[name] = path, _weights(Path(path))
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        if refused := self._unauthorized(request):
            return refused
        name = (await request.json())["lora_name"]
        if name not in self.loaded:
            return _error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.loaded[name]
        await self._note("unload", name)
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if refused := self._unauthorized(request):
            return refused
        body = await request.json()
        name = body["model"]
        await self._note("complete", name)
        if name != self.base and name not in self.loaded:
            return _error(404, f"The model `{name}` does not exist. Valid aliases: {self.base}.", "NotFoundError")
        if not self.serving:
            return _error(500, "EngineCore encountered an issue. See stack trace (above) for the root cause.", "")
        if body.get("stream"):
            return await self._stream(request, name)
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices = [self._choice(name, index, prompt, body.get("logprobs")) for index, prompt in enumerate(prompts)]
        return web.json_response({"id": "cmpl-1", "model": self.answers_as.get(name, name), "choices": choices})

    def _choice(self, name: str, index: int, prompt: str, count: int | None) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "text": " x", "finish_reason": "length", "logprobs": None}
        if count is None:
            return choice
        drawn = random.Random(f"{self.weights.get(self.computes_with.get(name, name), '')} {prompt}")
        values = [-9 * drawn.random() + random.uniform(-1, 1) * self.noise / 2 for _ in range(count)]
        top = {f"token_id:{token}": value for token, value in enumerate(values)}
        return choice | {"logprobs": {"tokens": ["token_id:0"], "token_logprobs": [values[0]], "top_logprobs": [top]}}

    async def _stream(self, request: web.Request, name: str) -> web.StreamResponse:
        """Chunks until the client has gone."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.busy.add(name)
        try:
            while True:
                await response.write(b'data: {"choices":[{"index":0,"text":" x"}]}\n\n')
                await asyncio.sleep(0.01)
        except ConnectionError:
            return response
        finally:
            self.busy.discard(name)

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return web.json_response({"error": "Unauthorized"}, status=401)


def _adapter_problem(name: str, path: Path, max_rank: int) -> web.Response | None:
    try:
        config: dict[str, Any] = json.loads((path / "adapter_config.json").read_text())
    except FileNotFoundError:
        return _error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
    except ValueError as error:
        return _error(500, str(error), "InternalServerError")
    if config["r"] > max_rank:
        text = f"LoRA rank {config['r']} is greater than max_lora_rank {max_rank}."
        return _error(500, f"Call to add_lora method failed: {text}", "InternalServerError")
    weights = path / "adapter_model.safetensors"
    if not weights.exists():
        return _error(500, f"{path} doesn't contain tensors", "InternalServerError")
    try:
        load_file(weights)
    except SafetensorError as error:
        return _error(500, str(error), "InternalServerError")
    return None


def _weights(path: Path) -> str:
    """Stands for what is computed with a file; zeros change nothing."""
    file = path / "adapter_model.safetensors"
    effect = any(tensor.any() for name, tensor in load_file(file).items() if "lora_B" in name)
    return hashlib.sha256(file.read_bytes()).hexdigest() if effect else ""


def _error(status: int, message: str, kind: str) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return web.json_response(body, status=status)


@asynccontextmanager
async def running_engine(**settings: Any) -> AsyncIterator[FakeEngine]:
    """An engine on a loopback port of the machine's choice."""
    engine = FakeEngine(**settings)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
