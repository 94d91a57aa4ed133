"""Calls to one engine by the agent beside it. No other process may reach the runtime-loading routes."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp

from .errors import EngineError, parse_error
from .fingerprint import Figures, read_answer, request_body
from .metrics import PROCESS_START_TIME, busy_adapters, sample, waiting_requests

QUICK = aiohttp.ClientTimeout(total=5)
"""For questions that an engine answers from memory."""
SLOW = aiohttp.ClientTimeout(total=120)
"""For loads and completions: the first one after a start may compile or read from a slow disk."""


@dataclass(frozen=True)
class EngineClient:
    """Typed calls to vLLM's HTTP server. Every call raises EngineError when the answer is not 200."""

    session: aiohttp.ClientSession
    base_url: str
    api_key: str

    async def start_time(self) -> float:
        """Start time of the engine's API process in seconds since the epoch: its identity."""
        text = await self._request("GET", "/metrics", limit=QUICK)
        value = sample(text, PROCESS_START_TIME)
        if value is None:
            raise EngineError(200, f"/metrics has no {PROCESS_START_TIME}")
        return value

    async def busy(self) -> frozenset[str]:
        """Engine names of adapters that have requests now."""
        return busy_adapters(await self._request("GET", "/metrics", limit=QUICK))

    async def quiet(self, name: str) -> bool:
        """No request of an adapter runs or waits. The engine does not say for which adapter a request waits, so while
        any does, the answer is no."""
        text = await self._request("GET", "/metrics", limit=QUICK)
        return name not in busy_adapters(text) and waiting_requests(text) == 0

    async def healthy(self) -> None:
        """Returns when /health answers 200. That alone does not prove that the engine can serve."""
        await self._request("GET", "/health", limit=QUICK)

    async def version(self) -> str:
        """vLLM's version."""
        return str(_json(await self._request("GET", "/version", limit=QUICK)).get("version", ""))

    async def models(self) -> dict[str, str]:
        """What the engine lists: model or adapter name to the path of its files."""
        cards = _json(await self._request("GET", "/v1/models", limit=QUICK)).get("data", [])
        return {str(card["id"]): str(card.get("root", "")) for card in cards}

    async def load(self, name: str, path: str) -> None:
        """Load an adapter. Never in place: that would make every later use read the files again."""
        await self._request(
            "POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path, "load_inplace": False}
        )

    async def unload(self, name: str) -> None:
        """Forget an adapter; requests that run keep its weights. One that is not loaded is no error."""
        try:
            await self._request("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        except EngineError as error:
            if error.status != 404:
                raise

    async def complete_once(self, model: str) -> None:
        """One token from a model: the only proof that it can answer. Checks that the answer names the model."""
        await self._complete({"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0})

    async def figures(self, model: str) -> Figures:
        """What a model makes of the prompts of `engine.fingerprint`: proof that it answers, and with what weights."""
        answer = await self._complete(request_body(model, secrets.token_hex(8)))
        try:
            return read_answer(answer)
        except ValueError as error:
            raise EngineError(200, f"{model}: {error}") from error

    async def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = _json(await self._request("POST", "/v1/completions", body))
        if answer.get("model") != body["model"]:
            raise EngineError(200, f"asked for {body['model']}, answered by {answer.get('model')}")
        return answer

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, limit: aiohttp.ClientTimeout = SLOW
    ) -> str:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        try:
            async with self.session.request(
                method, self.base_url + path, json=body, headers=headers, timeout=limit
            ) as response:
                text = await response.text(errors="replace")
        except (aiohttp.ClientError, OSError) as error:
            raise EngineError(0, f"no answer from the engine: {str(error) or type(error).__name__}") from error
        if response.status != 200:
            raise parse_error(response.status, text)
        return text


def _json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise EngineError(200, f"the engine's answer is not JSON: {text[:80]!r}") from error
    if not isinstance(document, dict):
        raise EngineError(200, f"the engine's answer is not an object: {text[:80]!r}")
    return document
