"""Keys of rank_pattern and alpha_pattern: regular expressions of a stranger, matched in bounded time.

The engine evaluates them too, for every tensor, on the thread that serves everybody. So only those are let through
whose backtracking is bounded: few groups and repetitions, none nested, no look-around, no reference.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MAX_PATTERNS = 1024
"""PEFT writes one key for each module of an adapter whose ranks were found in training: 560 for 80 layers."""
MAX_LENGTH = 256
MAX_WILD = 3
"""Groups and repetitions in one pattern."""
MAX_ALTERNATIVES = 32
MAX_COST = 10_000_000
"""Of matching all patterns with all modules, in microseconds of the worst case."""

_TAME = re.compile(r"(?:[\w.,|()*+?{}^$\[\]-]|\\[.dw_-])+")


class PatternError(ValueError):
    """A pattern that is none, or could take too long; the message is a part of a sentence."""


@dataclass(frozen=True)
class Patterns:
    """Patterns in their order, each with its value."""

    compiled: tuple[tuple[re.Pattern[str], float], ...] = ()
    wild: tuple[int, ...] = ()
    """Groups and repetitions of each."""

    @property
    def values(self) -> Collection[float]:
        """All values."""
        return [value for _, value in self.compiled]

    def cost(self, modules: Collection[str]) -> int:
        """An upper bound of what matching all of these takes, in microseconds.

        A match can go through (length of the name) ** (groups and repetitions) states; names that were made to
        backtrack took a tenth of a microsecond for each.
        """
        lengths = Counter(map(len, modules))
        kinds = Counter(self.wild)
        return sum(n * k * (1 + length**wild // 10) for length, n in lengths.items() for wild, k in kinds.items())

    def first(self, module: str, default: float) -> float:
        """PEFT's rule: a key matches a whole module path, or its end from a dot on; the first one wins."""
        return next((value for pattern, value in self.compiled if pattern.match(module)), default)


def compile_patterns(patterns: Mapping[str, float]) -> Patterns:
    """Raises PatternError for keys that are no regular expressions or not tame."""
    if len(patterns) > MAX_PATTERNS:
        raise PatternError(f"there are {len(patterns)} keys and at most {MAX_PATTERNS} are read")
    return Patterns(
        tuple((_compile(key), value) for key, value in patterns.items()),
        tuple(_wild(key) for key in patterns),
    )


def _compile(key: str) -> re.Pattern[str]:
    plain = re.sub(r"\\.", "", key)
    if not _TAME.fullmatch(key) or len(key) > MAX_LENGTH or _wild(key) > MAX_WILD or _repeats_itself(plain):
        raise PatternError(f"the key {key[:80]!r} is too complex")
    try:
        re.compile(key)  # for itself: `a)|(b` would be one only between the brackets that PEFT puts around it
        return re.compile(rf"(.*\.)?({key})$")
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"the key {key[:80]!r} is not a regular expression") from error


def _wild(key: str) -> int:
    """Groups and repetitions: what can be matched in more than one way."""
    return len(re.findall(r"[*+?{(]", re.sub(r"\\.", "", key)))


def _repeats_itself(plain: str) -> bool:
    """A repeated group, a look-around, a set of sets, or very many alternatives."""
    return bool(re.search(r"\)[*+{]|\(\?|\[\[|\[.*[-|&~]{2}", plain)) or plain.count("|") > MAX_ALTERNATIVES
