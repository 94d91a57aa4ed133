"""What an adapter makes of fixed prompts: figures that tell its weights from the base's and from any other adapter's.

Pure. One request asks for one token after each of four prompts, and for the eight highest log-probabilities there. Only
their sorted values are kept, without the tokens: a near tie that noise turns round changes the figures by no more than
the noise, where greedy text would go another way from there on. docs/design/fingerprint.md has what was measured, and
why log-probabilities of the prompt itself must never be asked for.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tunefleet.api.conditions import Reason
from tunefleet.api.names import short_hash

PROMPTS = ("Hello", "What is the capital of Peru?\n", "Die Antwort lautet", '{"name": "')
"""Text, since tokenizers differ: a greeting, a question, another language and data, each at a point where a model that
was tuned for something decides otherwise than its base."""

TOP = 8
"""Highest log-probabilities taken after each prompt. vLLM's --max-logprobs must allow it; its default is 20."""

FIGURES = len(PROMPTS) * TOP

DIGITS = 4
"""Decimal places that are kept: finer than any noise, and equal figures are equal text in a status."""

Figures = tuple[float, ...]
"""FIGURES natural logarithms: for each prompt the TOP highest, in falling order."""

FLOOR = 0.05
"""Least tolerance. Engines compute logits in bfloat16, whose steps are 0.125 for values from 16 to 32, and logits are
seldom higher. Two runs that round every logit on their own differ by a third of a step on average: 0.042."""

NOISE_FACTOR = 4.0
"""Tolerance in terms of how much the base differs from itself on the very engine: what is seen of it in a few
measurements is not all of it."""


LIMIT = 0.5
"""Highest tolerance with which adapters can still be told apart; trained ones differ from their base by more than 1. An
engine whose base varies so much answers with something else now and then, and none of its answers can be trusted."""


@dataclass(frozen=True)
class Reference:
    """What an engine start measured of its base: everything that is measured later is held against it."""

    kind: str
    """Digest of what can change figures, see `engine_kind`."""
    base: Figures
    tolerance: float
    """Figures whose distance is no more are equal."""


@dataclass(frozen=True)
class Verdict:
    """Why an adapter must get no traffic."""

    reason: Reason
    message: str


def engine_kind(*, version: str, base: str, options: str, product: str) -> str:
    """Engines of one kind give equal figures: vLLM's version, the base's engine name, the options that change
    arithmetic (see `flags.arithmetic_options`), and the processor's model."""
    return short_hash(f"{version}\n{base}\n{options}\n{product}")


def request_body(model: str, salt: str) -> dict[str, Any]:
    """The request to /v1/completions. The salt keeps cached keys and values of an earlier measurement out of it."""
    return {
        "model": model,
        "prompt": list(PROMPTS),
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": TOP,
        "ignore_eos": True,
        "return_tokens_as_token_ids": True,
        "cache_salt": salt,
    }


def read_answer(answer: Mapping[str, Any]) -> Figures:
    """The figures of an answer. Raises ValueError when it is not one to `request_body`."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != len(PROMPTS):
        raise ValueError(f"{len(PROMPTS)} prompts were asked and not answered one for one")
    try:
        ordered = sorted(choices, key=lambda choice: int(choice["index"]))
        return tuple(figure for choice in ordered for figure in _highest(choice["logprobs"]["top_logprobs"][0]))
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("the answer holds no log-probabilities") from error


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The mean difference of figures at the same place: noise is in each of them and averages out, an adapter's effect
    does not. Infinite when they are not comparable."""
    if not one or len(one) != len(other):
        return math.inf
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def tolerance(samples: Iterable[Figures]) -> float:
    """From figures of one base, measured on one engine in batches of different sizes. Raises ValueError when they
    differ so much that nothing could be told by them."""
    noise = max((distance(one, other) for one, other in combinations(samples, 2)), default=0.0)
    if NOISE_FACTOR * noise > LIMIT:
        raise ValueError(
            f"answers to the same prompts differ by {noise:.4f}, where {LIMIT / NOISE_FACTOR} is the limit"
        )
    return max(FLOOR, NOISE_FACTOR * noise)


def judge(
    measured: Figures, reference: Reference, others: Mapping[str, Figures], recorded: Figures | None
) -> Verdict | None:
    """None when the engine answers with the adapter, as far as can be told.

    `others`: figures of adapters with other weights in the same engine start, by engine name. `recorded`: what these
    very bytes gave at their first load on this kind of engine. It goes first: bytes that are known to have an effect
    and now have none are the engine's fault, not the adapter's.
    """
    limit = reference.tolerance
    if recorded is not None:
        return None if distance(measured, recorded) <= limit else _another(measured, reference, others, recorded)
    if distance(measured, reference.base) <= limit:
        return Verdict(
            Reason.NO_EFFECT,
            f"the engine answers with it exactly as without it (log-probabilities differ by "
            f"{distance(measured, reference.base):.4f} on average); are its weights zero? Train or export it anew",
        )
    if twin := _equal(measured, others, limit):
        return Verdict(
            Reason.WRONG_WEIGHTS,
            f"the engine answers with it exactly as with {twin}, whose weight file is another; "
            "if one is a copy of the other, serve one of them",
        )
    return None


def _another(measured: Figures, reference: Reference, others: Mapping[str, Figures], recorded: Figures) -> Verdict:
    known = {"the base": reference.base, **others}
    whose = _equal(measured, known, reference.tolerance)
    like = f"answers as {whose}" if whose else "answers with other weights"
    return Verdict(
        Reason.WRONG_WEIGHTS,
        f"the engine {like}: log-probabilities differ by {distance(measured, recorded):.4f} on average from those "
        f"recorded for these bytes, where {reference.tolerance:.4f} is allowed",
    )


def _equal(measured: Figures, known: Mapping[str, Figures], limit: float) -> str | None:
    """The nearest of those that are equal."""
    near = {name: apart for name, figures in known.items() if (apart := distance(measured, figures)) <= limit}
    return min(near, key=lambda name: near[name], default=None)


def _highest(top: Mapping[str, float]) -> Figures:
    values = sorted((float(value) for value in top.values()), reverse=True)[:TOP]
    if len(values) < TOP or not all(map(math.isfinite, values)):
        raise ValueError(f"the answer holds {len(values)} usable log-probabilities where {TOP} were asked for")
    return tuple(round(value, DIGITS) for value in values)
