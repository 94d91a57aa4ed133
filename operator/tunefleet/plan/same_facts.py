"""Answers that many objects ask for in turn, kept while the facts stay the same."""

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from .facts import Facts

Answer = TypeVar("Answer")


class Timed(NamedTuple, Generic[Answer]):
    """An answer, and how long it is true."""

    answer: Answer
    seconds: float | None
    """Until time alone may change it; None: never."""


class _Kept(NamedTuple, Generic[Answer]):
    answer: Answer
    since: datetime
    until: datetime | None


class SameFacts(Generic[Answer]):
    """Every decision has Facts of its own; most of them hold the very same objects as those of the decision before.

    The objects are compared by identity, which takes a thousandth of what comparing or hashing them would.
    """

    def __init__(self) -> None:
        self._objects: tuple[object, ...] = ()
        """Kept, so that no other object gets the identity of one of them."""
        self._identities: tuple[int, ...] = ()
        self._answers: dict[Hashable, _Kept[Answer]] = {}

    def ask(self, facts: Facts, question: Hashable, now: datetime, compute: Callable[[], Timed[Answer]]) -> Answer:
        """The answer to a question about the facts; computed only when they, or the time, are others than before."""
        objects = _objects(facts)
        identities = tuple(map(id, objects))
        if identities != self._identities:
            self._objects, self._identities, self._answers = objects, identities, {}
        known = self._answers.get(question)
        if known is None or now < known.since or (known.until is not None and now >= known.until):
            answer, seconds = compute()
            until = None if seconds is None else now + timedelta(seconds=seconds)
            known = self._answers[question] = _Kept(answer, now, until)
        return known.answer


def _objects(facts: Facts) -> tuple[object, ...]:
    """What decisions about engines read."""
    return (
        *facts.base_models.values(),
        *facts.adapters.values(),
        *facts.endpoints.values(),
        *facts.children.values(),
        *facts.pods.values(),
        *facts.reports.values(),
        *facts.gateways.values(),
    )
