"""Which version of an adapter is on which engine of a revision.

The rule, in the order in which slots are given away (docs/design/placement.md has the reasons):
1. If everything fits on every engine, everything is on every engine.
2. Otherwise claims take slots one after the other. First come the copies that a version must have: by need, then first
   copies before second ones, then what is asked for most, then the oldest object. Then free slots are filled with
   further copies: each goes to whoever has the most requests for each copy that it has already.
3. A claim takes a slot where the version is already; else one that nobody has; else, when it precedes others, one of
   theirs. Among equals the highest random weight of (engine name, pod name) decides.

What is held counts one level of heat more than what is not, and levels are a factor HEAT_STEP apart: so a version
gives way only to one that is asked for clearly more often, and never to one that is asked for as often.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from .asked import Asked
from .facts import Key
from .holdings import Holding, Need

HEAT_STEP = 4.0
"""Factor in requests per minute between two levels of heat."""
PRESSED = 2
"""Levels that a request that waits, or runs, counts: more than being held does."""


@dataclass(frozen=True)
class Seat:
    """One engine, as far as placing needs to know it."""

    pod: Key
    ready: bool
    held: frozenset[str] | None
    """Engine names that it was told to hold; None when its agent has not been heard."""
    loaded: frozenset[str] = frozenset()
    """Those of them that answer."""

    @property
    def unknown(self) -> bool:
        """It answers, and what it holds is not known: the operator has just begun, or cannot reach the agent."""
        return self.ready and self.held is None


def place(
    seats: Iterable[Seat], capacity: int, holdings: Iterable[Holding], asked: Mapping[Key, Asked]
) -> Mapping[Key, tuple[Holding, ...]]:
    """By pod, what it shall hold, most needed first: at most `capacity` each. The order of the input says nothing.

    While some engine is `unknown`, it is given nothing, and nothing is taken from the others.
    """
    wanted = sorted(holdings, key=lambda h: h.precedence)
    claimants = tuple(_claimant(holding, asked.get(holding.adapter, Asked())) for holding in wanted)
    found = _placed(tuple(sorted(seats, key=lambda seat: seat.pod)), capacity, claimants)
    return {pod: tuple(wanted[index] for index in indices) for pod, indices in found}


class _Claimant(NamedTuple):
    """What of a holding and of its demand decides; small, so that equal questions are recognised quickly."""

    name: str
    adapter: Key
    need: Need
    copies: int
    per_minute: float
    pressed: bool
    last: str


def _claimant(holding: Holding, asked: Asked) -> _Claimant:
    """Requests for an adapter are requests for what answers, or shall: not for former versions."""
    name = holding.desired.engine_name
    if holding.need in (Need.LEAVING, Need.WARM):
        return _Claimant(name, holding.adapter, holding.need, holding.copies, 0.0, pressed=False, last="")
    rate = asked.per_minute
    return _Claimant(name, holding.adapter, holding.need, holding.copies, rate, asked.pressed, asked.last)


def heat(per_minute: float) -> int:
    """Level of a rate: 0 below one request a minute, then one more for each HEAT_STEP."""
    return 0 if per_minute < 1 else 1 + int(math.log(per_minute, HEAT_STEP))


def weight(engine_name: str, pod: Key) -> bytes:
    """The random weight of a version on a pod: the same in every process, and for ever."""
    return blake2b(f"{engine_name} {pod.namespace}/{pod.name}".encode(), digest_size=8).digest()


@lru_cache(maxsize=8)
def _placed(
    seats: tuple[Seat, ...], capacity: int, claimants: tuple[_Claimant, ...]
) -> tuple[tuple[Key, tuple[int, ...]], ...]:
    """Indices of claimants by pod. Remembered, since every adapter of an endpoint asks the same."""
    if len(claimants) <= capacity:
        return tuple((seat.pod, tuple(range(len(claimants)))) for seat in seats)
    board = _Board(seats, capacity, claimants)
    for claim in _musts(board):
        board.take(claim)
    _fill(board)
    return tuple((seat.pod, tuple(sorted(board.taken[seat.pod]))) for seat in seats)


@dataclass
class _Board:
    """Slots that are taken so far. Claimants are known by their index, in order of precedence."""

    seats: tuple[Seat, ...]
    capacity: int
    claimants: tuple[_Claimant, ...]
    taken: dict[Key, set[int]] = field(init=False)
    waiting: dict[Key, set[int]] = field(init=False)
    """By pod, what it holds and nobody has claimed again yet."""
    holders: list[list[Seat]] = field(init=False)
    """By claimant, the engines that hold it."""
    answering: dict[Key, int] = field(init=False)
    """By adapter, engines that hold what answers for it now."""
    turns: list[int] = field(init=False)
    """By claimant, where it stands when those asked for last come first."""
    frozen: bool = field(init=False)
    """Nothing may be taken from anybody."""
    weakest: dict[Key, tuple[tuple[int, ...], int]] = field(init=False, default_factory=dict)
    """By pod, what comes last of `waiting`, after its rank; only where that is known."""

    def __post_init__(self) -> None:
        index = {claimant.name: number for number, claimant in enumerate(self.claimants)}
        self.taken = {seat.pod: set() for seat in self.seats}
        self.waiting = {}
        self.holders = [[] for _ in self.claimants]
        for seat in self.seats:
            self.waiting[seat.pod] = {index[name] for name in seat.held or () if name in index}
            for number in self.waiting[seat.pod]:
                self.holders[number].append(seat)
        self.answering = {}
        for claimant, holders in zip(self.claimants, self.holders, strict=True):
            if claimant.need is Need.SERVING:
                self.answering[claimant.adapter] = max(self.answering.get(claimant.adapter, 0), len(holders))
        latest_first = sorted(index.values(), key=lambda number: self.claimants[number].last, reverse=True)
        self.turns = sorted(index.values(), key=latest_first.__getitem__)
        self.frozen = any(seat.unknown for seat in self.seats)

    def take(self, claimant: int) -> bool:
        """Give a claimant one more copy where it fits best; False when there is no room for it."""
        first = not any(seat.ready and claimant in self.taken[seat.pod] for seat in self.seats)
        seat = self._held_seat(claimant, first) or self._any_seat(claimant, first)
        if seat is None:
            return False
        if not self._free(seat, claimant):
            self._evict(seat)
        self.taken[seat.pod].add(claimant)
        self.waiting[seat.pod].discard(claimant)
        self.weakest.pop(seat.pod, None)
        return True

    def _open(self, seat: Seat, claimant: int) -> bool:
        taken = self.taken[seat.pod]
        return claimant not in taken and len(taken) < self.capacity and not seat.unknown

    def _held_seat(self, claimant: int, first: bool) -> Seat | None:
        """Where it is already; for its first copy an engine that answers."""
        name = self.claimants[claimant].name
        found = [s for s in self.holders[claimant] if self._open(s, claimant) and (s.ready or not first)]
        return max(found, key=lambda s: (s.ready, name in s.loaded, weight(name, s.pod)), default=None)

    def _any_seat(self, claimant: int, first: bool) -> Seat | None:
        """For its first copy an engine that answers; then a slot that nobody has; then that of whoever comes last."""
        found = [s for s in self.seats if self._open(s, claimant) and (not self.frozen or self._free(s, claimant))]
        return max(found, key=lambda s: self._fitness(s, claimant, first), default=None)

    def _fitness(self, seat: Seat, claimant: int, first: bool) -> tuple[bool, bool, bool, bool, tuple[int, ...], bytes]:
        held = claimant in self.waiting[seat.pod]
        free = self._free(seat, claimant)
        last = () if free else self._weakest(seat)[0]
        return (first and seat.ready, held, free, seat.ready, last, weight(self.claimants[claimant].name, seat.pod))

    def _free(self, seat: Seat, claimant: int) -> bool:
        waiting = self.waiting[seat.pod]
        return claimant in waiting or len(self.taken[seat.pod]) + len(waiting) < self.capacity

    def _evict(self, seat: Seat) -> None:
        """Take the slot of what comes last among those that have not claimed theirs yet."""
        _, last = self._weakest(seat)
        for holder in self.holders[last]:
            self.weakest.pop(holder.pod, None)
        self.waiting[seat.pod].remove(last)
        self.holders[last].remove(seat)

    def _weakest(self, seat: Seat) -> tuple[tuple[int, ...], int]:
        if seat.pod not in self.weakest:
            self.weakest[seat.pod] = max((self._rank(claimant), claimant) for claimant in self.waiting[seat.pod])
        return self.weakest[seat.pod]

    def _rank(self, claimant: int) -> tuple[int, ...]:
        """Where the last of its copies comes among all: those that it must have before those that it may have."""
        copies = len(self.holders[claimant])
        if copies > _least(self, claimant):
            return (1, *_wish(self, claimant, copies - 1))
        urgency = _urgency(self, claimant, copies - 1)
        return (0, self.claimants[claimant].need, copies, *urgency, self.turns[claimant])


def _musts(board: _Board) -> Iterable[int]:
    """A claimant for each copy that it must have, in the order in which they are given."""
    claims = [
        (claimant.need, copy, *_urgency(board, index, copy), board.turns[index], index)
        for index, claimant in enumerate(board.claimants)
        for copy in range(_least(board, index))
    ]
    return [claim[-1] for claim in sorted(claims)]


def _least(board: _Board, index: int) -> int:
    """Copies that a version must have.

    One that left traffic stays where it is. One that shall answer has to take over from as many engines as answer now.
    """
    claimant = board.claimants[index]
    if claimant.need is Need.LEAVING:
        return len(board.holders[index])
    least = claimant.copies
    if claimant.need is Need.ACTIVE:
        least = max(least, board.answering.get(claimant.adapter, 0))
    return min(least, len(board.seats))


def _urgency(board: _Board, index: int, copy: int) -> tuple[int, bool]:
    """Sorts what is asked for most, and what somebody waits for, before the rest; a copy that answers first."""
    claimant = board.claimants[index]
    held = sum(seat.ready for seat in board.holders[index]) > copy
    return (-(heat(claimant.per_minute) + held + PRESSED * claimant.pressed), not held)


def _fill(board: _Board) -> None:
    """Give every slot that is left to the copy that would have the most requests."""
    copies = [0] * len(board.claimants)
    for taken in board.taken.values():
        for index in taken:
            copies[index] += 1
    queue = [_wish(board, index, copies[index]) for index in range(len(board.claimants))]
    heapify(queue)
    while queue:
        index = queue[0][-1]
        if board.take(index):
            copies[index] += 1
            heapreplace(queue, _wish(board, index, copies[index]))
        else:
            heappop(queue)


def _wish(board: _Board, index: int, copies: int) -> tuple[int, ...]:
    """Sorts the next copy of a claimant among all: the hottest first, then what is there, then the fewest copies."""
    held = copies < len(board.holders[index])
    level = heat(board.claimants[index].per_minute / (copies + 1)) + held
    return (-level, not held, copies, index)
