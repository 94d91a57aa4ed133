"""The ways in which engines fail, and what is looked at in each. Every case meets a proxy that has just started."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import scripted
from .bodies import request
from .client import Answer, ask_once, connected
from .objects import served_name
from .scripted import Engine, Script

MODEL = served_name(0)
Figures = dict[str, Any]
PATIENCE = 10.0
"""Seconds."""


@dataclass(frozen=True)
class Stage:
    """A proxy in front of two engines."""

    port: int
    key: str
    engines: Sequence[Engine]

    @property
    def attempts(self) -> int:
        """Requests that reached an engine."""
        return sum(len(engine.received) for engine in self.engines)

    async def ask(self, question: str = "Hello", **fields: Any) -> Answer:
        """One request."""
        return await ask_once(self.port, self.request(question, **fields))

    def request(self, question: str = "Hello", **fields: Any) -> bytes:
        """Its bytes."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "max_tokens": 64, **fields}
        return request(json.dumps(body).encode(), self.key)


@dataclass(frozen=True)
class Case:
    """One of them."""

    name: str
    scripts: tuple[Script, Script]
    run: Callable[[Stage], Awaitable[Figures]]
    tell: Callable[[Figures], str]


async def unknown_model(stage: Stage) -> Figures:
    """A name that nothing has."""
    answer = await stage.ask(model="no-such-model")
    return {"status": answer.status, "forwarded": stage.attempts > 0}


async def client_leaves(stage: Stage) -> Figures:
    """The client of a stream goes away; when does the engine hear of it?"""
    async with connected(stage.port) as client:
        await client.begin(stage.request(stream=True))
        async for _ in client.parts():
            break
        client.leave()
        left = time.monotonic()
    heard = {asyncio.ensure_future(asyncio.shield(engine.left)) for engine in stage.engines}
    done, pending = await asyncio.wait(heard, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    for one in pending:
        one.cancel()
    return {"milliseconds": (min(one.result() for one in done) - left) * 1e3 if done else None}


async def dies_in_stream(stage: Stage) -> Figures:
    """What the client sees when the engine goes away after three events."""
    answer = await stage.ask(stream=True)
    events = [json.loads(event) for event in answer.events if event != b"[DONE]"]
    return {
        "status": answer.status,
        "events": len(events),
        "error_event": any("error" in event for event in events),
        "done": b"[DONE]" in answer.events,
        "clean_end": answer.whole,
    }


async def resets(stage: Stage) -> Figures:
    """Both engines read a request and end the connection. How many times is it sent?"""
    answer = await stage.ask()
    return {"status": answer.status, "attempts": stage.attempts, "seconds": answer.seconds}


async def one_is_busy(stage: Stage) -> Figures:
    """One of two engines answers 503 with Retry-After to everything."""
    answers = [await stage.ask(f"Question {number}") for number in range(6)]
    refused = [answer for answer in answers if answer.status == 503]
    return {
        "statuses": [answer.status for answer in answers],
        "attempts": stage.attempts,
        "retry_after": [answer.headers.get("retry-after") for answer in refused],
    }


async def one_is_killed(stage: Stage) -> Figures:
    """One of two engines is killed, connections to it being open; nothing tells the proxy."""
    for number in range(4):
        await stage.ask(f"Before {number}")
    await stage.engines[0].kill()
    answers = [await stage.ask(f"Question {number}") for number in range(12)]
    return {
        "statuses": [answer.status for answer in answers],
        "longest_seconds": max(answer.seconds for answer in answers),
    }


FIDELITY = (
    '{"top_p":1.0, "messages":[{"role":"user","content":"caf\\u00e9 \\/ na\u00efve"}],\n "temperature":0.70,'
    '"seed":12345,"my_extra":{"b":1e2,"a":[1,2.50]},"model":"MODEL","max_tokens":8}'
)


async def body_fidelity(stage: Stage) -> Figures:
    """What an engine gets of a body with an unknown field, an order of its own and numbers written in unusual ways."""
    sent = FIDELITY.replace("MODEL", MODEL).encode()
    answer = await ask_once(stage.port, request(sent, stage.key))
    received = next((engine.received[0] for engine in stage.engines if engine.received), None)
    if received is None:
        return {"refused": answer.status}
    before, after = (json.loads(text, parse_float=str, parse_int=str) for text in (sent, received))
    common = [key for key in before if key in after]
    return {
        "lost": [key for key in before if key not in after],
        "added": [key for key in after if key not in before],
        "reordered": common != [key for key in after if key in before],
        "rewritten": [key for key in common if before[key] != after[key] and key != "model"],
        "verbatim": received.replace(str(after.get("model")).encode(), b"") == sent.replace(MODEL.encode(), b""),
    }


def _tell_stream(seen: Figures) -> str:
    end = "ends as if whole" if seen["clean_end"] else "breaks off"
    return f"{seen['status']}, {'an error event' if seen['error_event'] else 'no error event'}, {end}"


def _tell_busy(seen: Figures) -> str:
    passed = seen["retry_after"]
    header = "" if not passed else ", Retry-After " + ("passed on" if all(passed) else "lost")
    return f"{_counted(seen['statuses'])}; {seen['attempts']} attempts{header}"


def _tell_body(seen: Figures) -> str:
    if "refused" in seen:
        return f"refused with {seen['refused']}"
    if seen["verbatim"]:
        return "as it came"
    told = [f"{what} {_listed(seen[what])}" for what in ("lost", "added", "rewritten") if seen[what]]
    return "; ".join([*told, *(["order changed"] if seen["reordered"] else [])]) or "spaces changed"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"


def _counted(statuses: Sequence[int]) -> str:
    found = {status or "no answer": statuses.count(status) for status in sorted(set(statuses))}
    return ", ".join(f"{number} x {status}" for status, number in found.items())


CASES = (
    Case(
        "unknown model",
        (scripted.complete, scripted.complete),
        unknown_model,
        lambda seen: f"{seen['status']}, {'sent to an engine' if seen['forwarded'] else 'not sent on'}",
    ),
    Case(
        "client leaves a stream",
        (scripted.stream_until_left, scripted.stream_until_left),
        client_leaves,
        lambda seen: "never" if seen["milliseconds"] is None else f"after {seen['milliseconds']:.0f} ms",
    ),
    Case("engine dies in a stream", (scripted.die_in_stream, scripted.die_in_stream), dies_in_stream, _tell_stream),
    Case(
        "engine resets before a reply",
        (scripted.reset, scripted.reset),
        resets,
        lambda seen: f"{seen['status'] or 'no answer'}, {seen['attempts']} attempts, {seen['seconds']:.1f} s",
    ),
    Case("one of two: 503 and Retry-After", (scripted.overloaded, scripted.complete), one_is_busy, _tell_busy),
    Case(
        "one of two killed",
        (scripted.complete, scripted.complete),
        one_is_killed,
        lambda seen: f"{_counted(seen['statuses'])}; longest {seen['longest_seconds']:.1f} s",
    ),
    Case("body", (scripted.complete, scripted.complete), body_fidelity, _tell_body),
)
