"""The demo's story, measured: apply, ask, promote a bad version under load, and take it back by one patch."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openai import AsyncOpenAI
from rich.console import Console

from dev.shell import Shell

from .engine_start import watched_engine_start
from .load import Answer, Load, Question
from .prepare import NAMESPACE, ROOT
from .report import Figures
from .verdict import Expected, came_late, judge

EXAMPLES = ROOT / "examples"
GOOD, BAD = "german@v1", "german@v2"
SHORT, LONG = "What is the capital of Peru?", "Tell me a long story."
LONG_TOKENS = 700
"""Room for the longest of the trained stories, which end by themselves."""
KINDS = "basemodel,loraadapter,inferenceendpoint"
RATE = 20.0
"""Requests a second while versions change."""


@dataclass(frozen=True)
class Story:
    """What every act needs."""

    shell: Shell
    console: Console
    gateway: str
    """http://HOST:PORT of the gateway."""
    expected: Expected

    def kubectl(self, *arguments: str) -> str:
        """kubectl in the demo's namespace, shown."""
        return self.shell.kubectl("-n", NAMESPACE, *arguments)

    def apply(self, example: str) -> None:
        """kubectl apply of a folder or file of examples/."""
        self.kubectl("apply", "-f", os.path.relpath(EXAMPLES / example))

    def load(self) -> Load:
        """A load through the gateway with the official client; it never retries, so that nothing is hidden."""
        return Load(AsyncOpenAI(base_url=f"{self.gateway}/v1", api_key="open", max_retries=0, timeout=120))

    def say(self, text: str) -> None:
        """A line between commands."""
        self.console.print(text, highlight=False, soft_wrap=True)


def apply_and_wait(story: Story, kubeconfig: Path) -> tuple[float, float]:
    """Apply the three kinds; give seconds until all are Ready, and of these the bare engine's."""
    with watched_engine_start(kubeconfig, NAMESPACE) as engine:
        started = time.monotonic()
        story.apply("01-first-endpoint")
        story.kubectl(
            "wait", "--for=condition=Ready", "--timeout=5m", "basemodel,loraadapter,inferenceendpoint", "--all"
        )
        ready = time.monotonic() - started
    if engine.seconds is None:
        raise RuntimeError("every object is Ready, yet no engine container was seen to start")
    story.say(story.kubectl("get", "tunefleet"))
    return ready, engine.seconds


async def ask_each(story: Story) -> None:
    """Stream an answer from the base and from every adapter, as a person would."""
    load = story.load()
    for model in ("tiny-chat", "german", "formal", "pirate"):
        answer = await load.stream(Question(model, SHORT))
        story.say(f"[bold]{model:10}[/] {answer.text or answer.error}   [dim]{answer.exact_version}[/]")


async def first_answer_of_new_adapter(story: Story) -> float:
    """Apply one more adapter; seconds to its first answer."""
    probe, started = story.load(), time.monotonic()
    await asyncio.to_thread(story.apply, "05-one-more-adapter")
    while True:
        answer = await probe.ask(Question("shout", SHORT))
        if answer.finished:
            return answer.ended - started
        if answer.ended - started > 60:
            raise RuntimeError(f"no answer of the new adapter within a minute: {answer.error}")


async def promote(story: Story, load: Load) -> None:
    """Add version 2, promote it, and wait for its first answer."""
    await asyncio.to_thread(
        story.kubectl, "patch", "loraadapter", "german", "--type=json",
        "--patch-file=examples/02-promote-and-roll-back/add-version-2.yaml",
    )  # fmt: skip
    await asyncio.to_thread(
        story.kubectl, "patch", "loraadapter", "german", "--type=merge", '--patch={"spec":{"activeVersion":2}}'
    )
    bad = await asyncio.wait_for(load.first(lambda a: a.version == BAD), 60)
    story.say(f"[bold]german[/]     {bad.text}   [dim]{bad.exact_version}[/]")


async def roll_back(story: Story, load: Load) -> tuple[float, Answer]:
    """Patch activeVersion back; seconds to the first answer of the old version, and that answer."""
    started = load.clock()
    patch = asyncio.create_task(
        asyncio.to_thread(
            story.kubectl, "patch", "loraadapter", "german", "--type=merge", '--patch={"spec":{"activeVersion":1}}'
        )
    )
    good = await asyncio.wait_for(load.first(lambda a: a.version == GOOD and a.started > started), 60)
    await patch
    story.say(f"[bold]german[/]     {good.text}   [dim]{good.exact_version}[/]")
    return good.ended - started, good


def _answered(model: str, since: float) -> Callable[[Answer], bool]:
    return lambda answer: answer.question.model == model and answer.started > since


async def answers_of_each(load: Load, models: tuple[str, ...], since: float) -> None:
    """Wait until every model has answered a request that started after `since`."""
    for model in models:
        await asyncio.wait_for(load.first(_answered(model, since)), 60)


async def under_load(story: Story) -> tuple[float, Load, list[Answer]]:
    """A promotion, a roll-back and a broken adapter, while requests and streams run."""
    load, models = story.load(), ("german", "german", "formal", "pirate")
    short = [Question(model, SHORT) for model in models]
    long = [Question(model, LONG, LONG_TOKENS) for model in ("german", "german", "formal", "pirate")]
    async with load.running(short, RATE, long):
        await answers_of_each(load, models, load.clock())
        await promote(story, load)
        await asyncio.to_thread(story.apply, "04-refusals/broken-adapter.yaml")
        rollback_seconds, good = await roll_back(story, load)
        await asyncio.to_thread(story.kubectl, "wait", "--for=condition=Stalled", "--timeout=1m", "loraadapter/broken")
        await answers_of_each(load, models, load.clock())
    return rollback_seconds, load, came_late(load.answers, GOOD, good.ended)


async def play(story: Story, kubeconfig: Path) -> Figures:
    """The whole story."""
    story.say("\n[bold]1. Three kinds of object[/]")
    ready, engine = apply_and_wait(story, kubeconfig)
    story.say("\n[bold]2. The official OpenAI client, streaming[/]")
    await ask_each(story)
    story.say("\n[bold]3. One more adapter[/]")
    adapter_seconds = await first_answer_of_new_adapter(story)
    story.say(f"\n[bold]4. {RATE:g} requests a second and 4 long streams, while versions change[/]")
    rollback_seconds, load, late = await under_load(story)
    story.say(
        story.kubectl(
            "get", "loraadapter", "broken", "-o", "jsonpath={.status.conditions[?(@.type=='Stalled')].message}"
        )
    )
    verdict = judge(load.answers, story.expected)
    return Figures(
        ready_seconds=ready,
        engine_start_seconds=engine,
        adapter_seconds=adapter_seconds,
        rollback_seconds=rollback_seconds,
        requests=verdict.requests,
        failed=verdict.failed,
        wrong=verdict.wrong + len(late),
        broken_streams=verdict.broken_streams,
    )
