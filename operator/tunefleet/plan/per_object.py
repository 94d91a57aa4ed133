"""Answers that follow from one frozen object alone, kept for as long as that object lives."""

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def per_object(function: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Compute once for each object, by its identity: to hash or to compare a large one costs more than many answers."""
    kept: dict[int, tuple[weakref.ref[Asked], Answer]] = {}

    @wraps(function)
    def ask(about: Asked) -> Answer:
        number = id(about)
        known = kept.get(number)
        if known is None or known[0]() is not about:
            reference = weakref.ref(about, lambda gone: _forget(kept, number, gone))
            known = kept[number] = (reference, function(about))
        return known[1]

    return ask


def _forget(kept: dict[int, tuple[weakref.ref[Asked], Answer]], number: int, gone: weakref.ref[Asked]) -> None:
    """Another object may have the same number by now."""
    if number in kept and kept[number][0] is gone:
        del kept[number]
