"""Load with the official OpenAI client: a fixed rate of short requests, and streams that follow one another.

Every answer is kept with the exact version that the response names, so that a verdict needs no second source.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openai import APIError, AsyncOpenAI

Clock = Callable[[], float]


@dataclass(frozen=True)
class Question:
    """What is asked of which model."""

    model: str
    text: str
    max_tokens: int = 64
    logprobs: bool = False
    """Whether the answer shall come with its tokens' log-probabilities."""


class Token(NamedTuple):
    """One token of an answer."""

    text: str
    logprob: float
    """Natural logarithm of its probability."""


@dataclass(frozen=True)
class Answer:
    """One request and what became of it. Times are seconds of one monotonic clock."""

    question: Question
    started: float
    ended: float
    exact_version: str = ""
    """`model` of the response: NAME@vN-DIGEST8."""
    text: str = ""
    tokens: tuple[Token, ...] = ()
    """Empty unless the question asked for log-probabilities."""
    first_token: float | None = None
    """When a stream's first part came."""
    stream: bool = False
    finished: bool = False
    """A finish_reason arrived: the answer is whole."""
    error: str = ""

    @property
    def version(self) -> str:
        """NAME@vN."""
        return self.exact_version.rpartition("-")[0]


@dataclass
class Load:
    """Collects answers while it runs."""

    client: AsyncOpenAI
    clock: Clock = time.monotonic
    answers: list[Answer] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every answer; waiters clear it."""

    async def ask(self, question: Question) -> Answer:
        """One request without streaming."""
        started = self.clock()
        try:
            response = await self.client.chat.completions.create(
                model=question.model,
                messages=[{"role": "user", "content": question.text}],
                temperature=0,
                max_tokens=question.max_tokens,
                logprobs=question.logprobs,
            )
        except APIError as error:
            return self._keep(Answer(question, started, self.clock(), error=f"{type(error).__name__}: {error}"))
        choice = response.choices[0]
        text, finished = choice.message.content or "", choice.finish_reason is not None
        return self._keep(
            Answer(question, started, self.clock(), response.model, text, _tokens(choice), finished=finished)
        )

    async def stream(self, question: Question) -> Answer:
        """One streamed request; broken when it ends without a finish_reason."""
        started, exact, finished, error = self.clock(), "", False, ""
        parts, tokens, first = list[str](), list[Token](), None
        try:
            chunks = await self.client.chat.completions.create(
                model=question.model,
                messages=[{"role": "user", "content": question.text}],
                temperature=0,
                max_tokens=question.max_tokens,
                logprobs=question.logprobs,
                stream=True,
            )
            async for chunk in chunks:
                exact, first = chunk.model, first or self.clock()
                for choice in chunk.choices:
                    parts.append(choice.delta.content or "")
                    tokens += _tokens(choice)
                    finished = finished or choice.finish_reason is not None
        except (APIError, OSError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        return self._keep(
            Answer(
                question, started, self.clock(), exact, "".join(parts), tuple(tokens), first,
                stream=True, finished=finished, error=error,
            )
        )  # fmt: skip

    async def first(self, wanted: Callable[[Answer], bool]) -> Answer:
        """The first answer that is wanted, among those collected and those to come."""
        seen = 0
        while True:
            for answer in self.answers[seen:]:
                if wanted(answer):
                    return answer
            seen = len(self.answers)
            await self.arrived.wait()
            self.arrived.clear()

    def _keep(self, answer: Answer) -> Answer:
        self.answers.append(answer)
        self.arrived.set()
        return answer

    @asynccontextmanager
    async def running(
        self, questions: Iterable[Question], rate: float, streams: Iterable[Question] = ()
    ) -> AsyncIterator[None]:
        """Ask `rate` questions a second, round and round, beside streams that start anew when they end.

        On leaving, no new request starts and those under way are awaited.
        """
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._at_rate(group, itertools.cycle(list(questions)), rate, stop))
            for question in streams:
                group.create_task(self._one_after_another(question, stop))
            try:
                yield
            finally:
                stop.set()

    async def _at_rate(
        self, group: asyncio.TaskGroup, questions: Iterable[Question], rate: float, stop: asyncio.Event
    ) -> None:
        due = self.clock()
        for question in questions:
            group.create_task(self.ask(question))
            due += 1 / rate
            if await _set_within(stop, due - self.clock()):
                return

    async def _one_after_another(self, question: Question, stop: asyncio.Event) -> None:
        while not stop.is_set():
            answer = await self.stream(question)
            if answer.error and await _set_within(stop, 0.2):
                return


def _tokens(choice: Any) -> tuple[Token, ...]:
    """Of a choice of a response or of a stream's part."""
    content = choice.logprobs.content if choice.logprobs else None
    return tuple(Token(token.token, token.logprob) for token in content or ())


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set before the time is over."""
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0))
    except TimeoutError:
        return False
    return True
