"""Whether a pod is worth a request: a state machine over what its last requests met.

Three things leave a pod out, each for a pause, and each ends in its own way:

- REFUSED: it took no connection. Out at once. One request at a time tries again when the pause is over; a sign of life
  (its agent's, or an answer to somebody) ends it early.
- FAILED: it broke off before it answered, said nothing, or answered 5xx, FAILURES requests in a row. One request at a
  time tries again when the pause is over.
- BUSY: it said 503 with Retry-After. Out for as long as it asked for; then it gets requests like any other.

Pauses double from one to the next until a request is answered. There is no jitter: each gateway counts for itself.
"""

from typing import final

REFUSED = "refused"
FAILED = "failed"
BUSY = "busy"

FAILURES = 3
"""Different requests in a row with a bad answer. The same request again is not another one, so a request that makes
engines fail leaves no pod out, however often its client repeats it."""
FIRST_PAUSE = 1.0
LAST_PAUSE = 16.0
"""About half of the time that requests wait for an engine by default."""
BUSY_MOST = 30.0
"""Seconds of Retry-After that are believed."""
PROBE_SECONDS = 10.0
"""After which a probe that brought nothing makes room for another: a long answer may take minutes to begin."""


@final
class Health:
    """Of one pod. Times are seconds of any clock that does not go back."""

    def __init__(self, ejections: dict[str, int]) -> None:
        self.clean = True
        """Nothing is held against it: the one attribute that requests look at."""
        self.why = ""
        """Why it is out: REFUSED, FAILED, BUSY, or empty when it is not."""
        self.until = 0.0
        """When its pause ends."""
        self._ejections = ejections
        self._failures: list[int] = []
        self._pauses = 0
        """That came one after the other without an answer in between."""
        self._probe_until = 0.0

    def open(self, now: float) -> bool:
        """Whether it may get a request: it is not out, or its pause is over and no probe is on its way."""
        return not self.why or (now >= self.until and now >= self._probe_until)

    def chosen(self, now: float) -> None:
        """A request goes there. When the pause of a pod that is out is over, the request is its probe."""
        if self.why == BUSY and now >= self.until:
            self._recovered()
        elif self.why and now >= self.until:
            self._probe_until = now + PROBE_SECONDS

    def idle(self) -> None:
        """No request is there any more: whatever became of a probe, another one may go."""
        self._probe_until = 0.0

    def refused(self, now: float) -> None:
        """It took no connection."""
        self._eject(REFUSED, now)

    def reached(self) -> None:
        """It took a connection."""
        if self.why == REFUSED:
            self._recovered()

    def failed(self, now: float, request: int) -> None:
        """It broke off before an answer, was silent, or answered 5xx. `request`: a hash of the request's body."""
        self.clean = False
        if request not in self._failures and len(self._failures) < FAILURES:
            self._failures.append(request)
        if self.why == REFUSED:  # what it still had when it stopped to listen
            return
        if self.why == FAILED or len(self._failures) == FAILURES:
            self._eject(FAILED, now)

    def busy(self, now: float, seconds: float) -> None:
        """It answered 503 and asked not to be asked for so long."""
        until = now + min(max(seconds, 0.0), BUSY_MOST)
        self._failures.clear()
        if self.why == BUSY:
            until = max(until, self.until)
        if until > now:
            self._out(BUSY, until, now)
        else:
            self._recovered()

    def answered(self) -> bool:
        """It answered. True when it was out since its last answer: requests that wait for it may go."""
        was_out = self.why != "" or self._pauses > 0
        self._recovered()
        self._failures.clear()
        self._pauses = 0
        self.clean = True
        return was_out

    def alive(self) -> bool:
        """Its agent gave a sign of life. True when it was waited for."""
        waited_for = self.why == REFUSED
        if waited_for:
            self._recovered()
        return waited_for

    def _eject(self, why: str, now: float) -> None:
        if self.why == why and now < self.until:  # one that was on its way there with others
            return
        self._pauses += 1
        self._out(why, now + min(FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 16), LAST_PAUSE), now)

    def _out(self, why: str, until: float, now: float) -> None:
        if self.why != why or now >= self.until:
            self._ejections[why] = self._ejections.get(why, 0) + 1
        self.clean = False
        self.why = why
        self.until = until
        self._probe_until = 0.0

    def _recovered(self) -> None:
        self.why = ""
        self._probe_until = 0.0
        self.clean = not self._failures and not self._pauses
