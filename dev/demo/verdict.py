"""What became of a load, judged without I/O: failed, wrong and broken answers, and when a version came back."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from .load import Answer

Expected = Mapping[str, Mapping[str, str]]
"""Version (NAME@vN) -> question -> the exact greedy answer."""


@dataclass(frozen=True)
class Verdict:
    """Counts over a load."""

    requests: int
    failed: int
    """Error responses and refused connections."""
    wrong: int
    """Answers whose text is not that of the version that they name, or that name another model than was asked."""
    broken_streams: int
    """Streams that began and did not end with a finish_reason."""

    def as_dict(self) -> dict[str, int]:
        """For the report."""
        return asdict(self)


def is_broken(answer: Answer) -> bool:
    """A stream that began, and stopped before its end."""
    return answer.stream and bool(answer.exact_version) and not answer.finished


def is_failed(answer: Answer) -> bool:
    """No answer at all."""
    return bool(answer.error) and not is_broken(answer)


def is_wrong(answer: Answer, expected: Expected) -> bool:
    """A whole answer by other weights than those it names, or by another model than was asked for."""
    if answer.error or not answer.finished:
        return False
    if answer.version.partition("@")[0] != answer.question.model:
        return True
    text = expected.get(answer.version, {}).get(answer.question.text)
    return text is None or answer.text.strip() != text.strip()


def came_late(answers: Iterable[Answer], version: str, since: float) -> list[Answer]:
    """Answers by another version than this one to requests that started after `since`."""
    name = version.partition("@")[0]
    return [a for a in answers if a.question.model == name and a.started > since and a.version != version]


def judge(answers: Iterable[Answer], expected: Expected) -> Verdict:
    """Count what went wrong."""
    kept = list(answers)
    return Verdict(
        requests=len(kept),
        failed=sum(map(is_failed, kept)),
        wrong=sum(is_wrong(a, expected) for a in kept),
        broken_streams=sum(map(is_broken, kept)),
    )
