"""Whether every request is accounted for: what clients saw, what the gateway's audit trail says, what was done to
engines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median
from typing import Any

AuditLine = Mapping[str, Any]

ANSWERED = "answered"
"""2xx, to its end."""
REFUSED = "refused"
"""Another status, to its end."""
LEFT = "left"
"""The client went away, as it meant to."""
BROKEN = "broken"
"""The answer broke off."""
UNANSWERED = "unanswered"
"""The connection ended before an answer."""

MARGIN_SECONDS = 2.0
"""Between a kill and what comes of it."""


@dataclass(frozen=True)
class Sent:
    """One request as its client saw it. Times of the monotonic clock."""

    id: str
    """Its x-request-id."""
    kind: str
    result: str
    status: int
    """0: none came."""
    began: float
    ended: float
    expected: tuple[int, ...] = ()
    """Statuses besides 2xx that this kind of request may get at any time."""
    events: int = 0


@dataclass(frozen=True)
class Kill:
    """An engine was killed."""

    pod: str
    """NAMESPACE/NAME."""
    time: float


@dataclass
class Account:
    """The sum of all."""

    results: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    """Requests that went wrong without a fault that accounts for it."""
    disagreeing: list[str] = field(default_factory=list)
    """Requests that the audit trail tells otherwise, or not at all."""


def account(sent: Sequence[Sent], trail: Sequence[AuditLine], kills: Sequence[Kill]) -> Account:
    """Hold each request against its audit line and against the kills."""
    lines: dict[str, list[AuditLine]] = {}
    for line in trail:
        lines.setdefault(line["request_id"], []).append(line)
    found = Account()
    for one in sent:
        found.results[one.result] += 1
        found.kinds[one.kind] += 1
        found.statuses[one.status] += 1
        own = lines.pop(one.id, [])
        if not agrees(one, own):
            found.disagreeing.append(f"{one}: {own}")
        if not explained(one, own, kills):
            found.unexplained.append(f"{one}: {own}")
    found.disagreeing += [f"nobody sent {line}" for rest in lines.values() for line in rest]
    return found


def agrees(one: Sent, lines: Sequence[AuditLine]) -> bool:
    """Whether the trail tells the same: one line, but for a client that may have left before its request was read."""
    if not lines:
        return one.result == LEFT and one.status == 0
    if len(lines) > 1:
        return False
    status, outcome = lines[0]["status"], lines[0].get("outcome", "")
    if one.result == LEFT:
        return outcome in ("disconnected", "2xx", "broken") or "refusal" in lines[0]
    if one.result == BROKEN:
        return bool(outcome == "broken")
    return bool(one.status == status and outcome != "broken")


def explained(one: Sent, lines: Sequence[AuditLine], kills: Sequence[Kill]) -> bool:
    """Whether it may have ended so: as asked for, or because its pod was killed meanwhile."""
    if one.result in (ANSWERED, LEFT) or (one.result == REFUSED and one.status in one.expected):
        return True
    if one.result == UNANSWERED:
        return False
    pods = {line.get("pod") for line in lines}
    return any(kill.pod in pods and one.began - MARGIN_SECONDS < kill.time < one.ended for kill in kills)


@dataclass(frozen=True)
class Trend:
    """Of memory over time, without the first part, in which caches fill."""

    first_mb: float
    """Median of the first fifth after the warm-up."""
    last_mb: float
    """Median of the last fifth."""
    mb_per_hour: float
    """Slope of the line through all of it."""


WARM_UP = 0.2
"""Part of the samples that is left out."""


def trend(samples: Sequence[tuple[float, float]]) -> Trend:
    """Of pairs of seconds and bytes, at least ten. Raises ValueError for fewer."""
    if len(samples) < 10:
        raise ValueError("ten samples are the least that show a trend")
    kept = samples[int(len(samples) * WARM_UP) :]
    fifth = max(len(kept) // 5, 1)
    sizes = [size / 1e6 for _, size in kept]
    slope = linear_regression([seconds / 3600 for seconds, _ in kept], sizes).slope
    return Trend(median(sizes[:fifth]), median(sizes[-fifth:]), slope)
