"""What became of the requests: failed, wrong, broken. Pure.

A request is wrong when its log-probabilities are not those of a version that may answer it, whatever the response
says of itself; and when what the response says is not true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dev.demo.load import Answer
from dev.demo.verdict import Verdict, is_broken, is_failed

from .weights import References, speakers


@dataclass(frozen=True)
class Change:
    """One promotion or roll-back. Times are seconds of the load's clock."""

    version: str
    """NAME@vN that was asked for."""
    patched: float
    """Before the API server was called."""
    answered: float
    """End of its first answer: whoever asks from now on shall get no other version, until the next patch."""

    @property
    def seconds(self) -> float:
        """Patch to first answer."""
        return self.answered - self.patched


Timelines = Mapping[str, Sequence[Change]]
"""Served name -> its changes in order. The first one is how it began: with `patched` before everything."""


def may_answer(answer: Answer, changes: Sequence[Change]) -> frozenset[str]:
    """Versions that may answer: the one that answered last when it was asked, and those patched since.

    Nothing that was patched after the first token came can have given it.
    """
    first = answer.ended if answer.first_token is None else answer.first_token
    settled = [change.version for change in changes if change.answered < answer.started]
    moving = {change.version for change in changes if change.patched <= first and change.answered >= answer.started}
    return frozenset({*settled[-1:], *moving})


def is_wrong(answer: Answer, references: References, timelines: Timelines) -> bool:
    """Whether a whole answer came from weights that may not answer, or names a version whose weights it is not from."""
    if answer.error or not answer.finished:
        return False
    spoken_by = speakers(answer, references)
    return answer.version not in spoken_by or not spoken_by & may_answer(answer, timelines[answer.question.model])


def judge(answers: Sequence[Answer], references: References, timelines: Timelines) -> Verdict:
    """Count what went wrong."""
    return Verdict(
        requests=len(answers),
        failed=sum(map(is_failed, answers)),
        wrong=sum(is_wrong(answer, references, timelines) for answer in answers),
        broken_streams=sum(map(is_broken, answers)),
    )


def longest_silence(answers: Sequence[Answer], model: str, since: float) -> float:
    """Seconds from `since` to the answer that ended the longest time without one. Raises ValueError without answers."""
    ends = sorted(a.ended for a in answers if a.question.model == model and not a.error and a.ended > since)
    if not ends:
        raise ValueError(f"{model} did not answer any more")
    gaps = [(end - before, end) for before, end in zip([since, *ends], ends, strict=False)]
    return max(gaps)[1] - since
