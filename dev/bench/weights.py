"""Whose weights gave an answer: told by the log-probabilities of its tokens, and by no header or name in it."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from dev.demo.load import Answer, Token

References = Mapping[str, Mapping[str, Sequence[Token]]]
"""Version (NAME@vN) -> question -> the tokens of its greedy answer, taken while nothing else ran."""

TOLERANCE = 0.05
"""Nats. Beside other requests the engine adds in another order; the bench prints the largest difference that it met
(`noise`), and refuses to judge unless versions lie at least twice the tolerance apart."""


def distance(measured: Sequence[Token], reference: Sequence[Token]) -> float:
    """Largest difference between log-probabilities of two answers, in nats; infinite where other tokens were chosen."""
    if [token.text for token in measured] != [token.text for token in reference]:
        return math.inf
    return max((abs(a.logprob - b.logprob) for a, b in zip(measured, reference, strict=True)), default=math.inf)


def speakers(answer: Answer, references: References) -> frozenset[str]:
    """The versions whose weights could have given this answer."""
    return frozenset(
        version
        for version, answers in references.items()
        if distance(answer.tokens, answers.get(answer.question.text, ())) <= TOLERANCE
    )


def separation(references: References) -> float:
    """Least distance of two versions' answers to one question, in nats."""
    return min(
        distance(one[question], other[question])
        for one, other in itertools.combinations(references.values(), 2)
        for question in one.keys() & other.keys()
    )


def check_separation(references: References) -> float:
    """`separation`, if answers can be told apart. Raises ValueError."""
    least = separation(references)
    if least < 2 * TOLERANCE:
        raise ValueError(f"two versions' answers differ by {least:.3f} nats only: no answer could be told from another")
    return least


def noise(answers: Iterable[Answer], references: References) -> float:
    """Largest distance of an answer to the reference of the version that it names, of those with the same tokens."""
    distances = (
        distance(answer.tokens, references[answer.version].get(answer.question.text, ()))
        for answer in answers
        if answer.version in references and answer.finished
    )
    return max((d for d in distances if d < math.inf), default=0.0)
