"""The circuit breaker of one endpoint: whether its engines are worth asking while somebody else can answer.

It is consulted only where the endpoint has a fallback. Without one, an open breaker could do no more than replace the
engine's error by ours, or keep requests from an engine that has just recovered; `health.py`, which acts first and for
each pod, is all that is wanted there.

An endpoint serves many versions, and one bad version must not take the others to another model. So what opens the
breaker are failures of *every* version that was lately asked for: each version's failures count until it answers, and a
version that answered within the last SUCCESS_SECONDS and has not failed since keeps the breaker closed.

    closed    --FAILURES failures within FAILURE_SECONDS, and no version that answers-->  open
    open      --the pause is over-->                                                      half-open
    half-open --one request at a time goes to the endpoint; it is answered-->             closed
    half-open --it fails-->                                                               open, for twice as long
"""

from typing import final

FAILURES = 5
"""One engine that dies with this many requests breaks the circuit at once; fewer failures with nothing in between are
as likely bad requests."""
FAILURE_SECONDS = 60.0
"""Failures that are further apart are not one trouble. Silence counts when it is over, and then for all at once."""
SUCCESS_SECONDS = 10.0
"""For how long an answer speaks for the engines: a version asked for less often says nothing of this moment."""
FIRST_PAUSE = 5.0
LAST_PAUSE = 60.0
"""Half of the time that an engine's restart takes, and about that of a large one's first start; a probe costs one
request."""
PROBE_SECONDS = 30.0
"""After which a probe that brought nothing makes room for another."""

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half-open"


@final
class Breaker:
    """Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._failures: list[tuple[float, str]] = []
        """The latest ones, when and of which version, none of which was answered since."""
        self._answered: dict[str, float] = {}
        """When each version whose last request was answered was so."""
        self._is_open = False
        self._until = 0.0
        """End of the pause."""
        self._pause = FIRST_PAUSE
        self._probe_until = 0.0

    def open(self, now: float) -> bool:
        """Whether a request that could go elsewhere should."""
        return self._is_open and (now < self._until or now < self._probe_until)

    def state(self, now: float) -> str:
        """CLOSED, OPEN or HALF_OPEN."""
        if not self._is_open:
            return CLOSED
        return OPEN if now < self._until else HALF_OPEN

    def sent(self, now: float) -> None:
        """A request goes to the endpoint; while half-open it is the probe."""
        if self._is_open and now >= self._until:
            self._probe_until = now + PROBE_SECONDS

    def left(self) -> None:
        """A request's client went away: it says nothing, and another one may be the probe."""
        self._probe_until = 0.0

    def note(self, ok: bool, now: float, name: str = "") -> None:
        """A request for the version `name` is over; `ok` unless its engine is to blame. What was sent before the
        breaker opened says nothing more while the pause lasts."""
        if self._is_open:
            if now >= self._until:
                self._judge_probe(ok, now)
        elif ok:
            self._answered[name] = now
            if self._failures:
                self._failures = [failure for failure in self._failures if failure[1] != name]
        else:
            self._failed(now, name)

    def forget(self, now: float) -> None:
        """Versions that have not answered for long: once in a while, that the memory stays bounded."""
        self._answered = {name: at for name, at in self._answered.items() if at > now - SUCCESS_SECONDS}

    def _failed(self, now: float, name: str) -> None:
        if name in self._answered:
            del self._answered[name]
        self._failures.append((now, name))
        self._failures = [failure for failure in self._failures if failure[0] > now - FAILURE_SECONDS]
        if len(self._failures) < FAILURES:
            return
        for at in self._answered.values():
            if at > now - SUCCESS_SECONDS:
                self._failures = self._failures[-FAILURES:]
                return
        self._trip(now, FIRST_PAUSE)

    def _judge_probe(self, ok: bool, now: float) -> None:
        if ok:
            self._is_open = False
            self._probe_until = 0.0
        else:
            self._trip(now, min(2.0 * self._pause, LAST_PAUSE))

    def _trip(self, now: float, pause: float) -> None:
        self._is_open = True
        self._pause = pause
        self._until = now + pause
        self._probe_until = 0.0
        self._failures.clear()
        self._answered.clear()
