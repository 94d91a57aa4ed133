"""Replacing an endpoint's pods a few at a time, where there is no room for two whole revisions.

With `rollout.maxSurge` below `replicas`, pods of the new revision join those of the old one as they become good (ready,
and holding what they shall hold), and each lets one old pod go. While both serve, gateways send to the good pods of
either, so an adapter is answered by the same bytes wherever it is.

Two things always stand whole beside the old revision instead. Another base version, because it takes over together with
the adapter versions that are pinned to it, in one step. And a revision whose adapters do not all fit on each pod,
because adapters are placed within a revision, and half of one might have no room for some of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunefleet.api.inference_endpoint import RevisionState


@dataclass(frozen=True)
class Crew:
    """The pods of one revision."""

    name: str
    state: RevisionState | None
    replicas: int
    """Pods that its Deployment asks for; 0 while it does not stand."""
    pods: int
    """Living ones."""
    good: int
    """Of these, ready and holding what they shall hold."""
    peer: bool
    """Each of its pods has room for whatever a pod of the wanted revision holds, and the same base."""
    pinned: bool = False
    """An adapter that clients use is on no other revision's pods."""


@dataclass(frozen=True)
class Limits:
    """How many pods there may be, and how many good ones there must be."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Pods of all revisions that serve or start."""
        return self.replicas + self.surge

    @property
    def least(self) -> int:
        """Good pods at any time."""
        return max(0, self.replicas - self.unavailable)


@dataclass(frozen=True)
class Shares:
    """What several revisions at once have now."""

    replicas: Mapping[str, int]
    """Pods of each revision, by name; the others have as many as ever."""
    beside: frozenset[str]
    """Revisions that go on serving beside the wanted one."""
    joins: bool
    """The wanted one serves from its first good pod on."""


def shares(crews: Sequence[Crew], wanted: str | None, limits: Limits) -> Shares | None:
    """How the pods are shared between revisions now; None where one serves, and another one has to stand whole."""
    new = next((c for c in crews if c.name == wanted), None)
    olds = [c for c in crews if c.name != wanted and c.state == "Serving"]
    if new and new.peer and olds and all(old.peer for old in olds) and limits.surge < limits.replicas:
        return _gradual(new, olds, [c for c in crews if c.name != new.name and c.state != "Serving"], limits)
    if len(olds) > 1 or (olds and new and new.state == "Serving"):
        return _held(new, olds, limits)
    return None


def _gradual(new: Crew, olds: Sequence[Crew], idle: Sequence[Crew], limits: Limits) -> Shares:
    """Every good pod of the new one that gateways know of lets an old one go; idle ones go before a new one starts."""
    joined = new.good if new.state == "Serving" else 0
    kept = _kept(olds, limits.least - joined)
    given_up = sum(c.pods for c in idle if c.state in ("Progressing", None))
    room = limits.most - _present(olds, kept)
    aim = _between(new.replicas, room, limits.replicas)
    shrinking = [c for c in idle if c.state == "Warm" and not c.pinned]
    warm = _kept(shrinking, room - aim)
    count = _between(min(new.replicas, aim), room - given_up - _present(shrinking, warm), aim)
    beside = frozenset(old.name for old in olds if kept[old.name])
    return Shares({**kept, **warm, new.name: count}, beside, joins=True)


def _held(new: Crew | None, olds: Sequence[Crew], limits: Limits) -> Shares:
    """A spec that cannot go on with a gradual rollout overtook it: all stay until that one stands whole."""
    counts = {old.name: old.replicas for old in olds}
    done = new is not None and new.good >= limits.replicas
    return Shares(counts, frozenset() if done else frozenset(counts), joins=False)


def _kept(crews: Iterable[Crew], total: int) -> dict[str, int]:
    """At most so many pods of these in all, and never more than there are: the first ones keep theirs."""
    counts = {}
    for crew in crews:
        counts[crew.name] = max(0, min(crew.replicas, total))
        total -= counts[crew.name]
    return counts


def _present(crews: Iterable[Crew], counts: Mapping[str, int]) -> int:
    """Pods that are there, or will be."""
    return sum(max(crew.pods, counts[crew.name]) for crew in crews)


def _between(least: int, value: int, most: int) -> int:
    return min(most, max(least, value))
