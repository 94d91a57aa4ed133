"""What one run of the swap benchmark saw."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dev.demo.load import Answer
from dev.demo.verdict import Verdict

from .applying import Applied
from .fleet import CHANGING, STAYING
from .judgement import Change, judge
from .recovery import Recovery
from .weights import References, noise


@dataclass
class Measured:
    """Everything that was seen."""

    references: References
    changes: list[Change] = field(default_factory=list)
    applied_idle: list[Applied] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    changing: list[Answer] = field(default_factory=list)
    """Answers while versions changed and adapters came."""
    one_replica: list[Answer] = field(default_factory=list)
    """Answers while the only engine was killed."""
    two_replicas: list[Answer] = field(default_factory=list)
    """Answers while one of two engines was killed."""

    def verdict(self, answers: Sequence[Answer]) -> Verdict:
        """Over one part of the load."""
        start = Change("german@v1", float("-inf"), float("-inf"))
        stays = Change("formal@v1", float("-inf"), float("-inf"))
        return judge(answers, self.references, {CHANGING: [start, *self.changes], STAYING: [stays]})

    @property
    def noise(self) -> float:
        """Over the whole load, in nats."""
        return noise([*self.changing, *self.one_replica, *self.two_replicas], self.references)
