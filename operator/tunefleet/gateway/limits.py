"""How much a tenant may use: requests and tokens a minute as token buckets, and requests at the same time.

A bucket holds one minute's worth and fills evenly, so an idle tenant may use a minute's worth at once, and in any w
seconds at most limit x (1 + w/60). What a request will cost is not known when it comes. It takes its prompt's share at
once, a quarter of its body's bytes but never more than the bucket holds, and what it really used is put right in the
end; `max_tokens` is not reserved, since most answers end long before. A bucket may owe by that: it never forgets, so
over time no more is used than the limit, whatever a single answer cost.

Pure: the time is given, in seconds of any clock; one that stands still or goes back refills nothing.
"""

from typing import Final, final

MINUTE: Final = 60.0
BYTES_A_TOKEN: Final = 4
"""Of a request's body: English text has four to five, JSON and other scripts have fewer."""
ROUNDING: Final = 1e-9
"""Of a request or token, that a bucket may lack by sums of floating-point numbers."""


@final
class Bucket:
    """At most `capacity` at once, and as much each minute."""

    def __init__(self, capacity: float, now: float) -> None:
        self.capacity = capacity
        self.level = capacity
        """What is left; below zero: what is owed."""
        self._at = now

    def resize(self, capacity: float, now: float) -> None:
        """Another limit from now on; the bucket stays as full as it is."""
        self._fill(now)
        self.level = self.level / self.capacity * capacity
        self.capacity = capacity

    def spend(self, amount: float, now: float) -> None:
        """Take this much, even where there is none; a negative amount is given back."""
        self._fill(now)
        self.level = min(self.capacity, self.level - amount)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until this much is there, or as much as ever will be; 0.0: it is."""
        self._fill(now)
        missing = min(amount, self.capacity) - self.level
        return missing * MINUTE / self.capacity if missing > ROUNDING else 0.0

    def left(self, now: float) -> float:
        """What is there now."""
        self._fill(now)
        return self.level

    def _fill(self, now: float) -> None:
        if now > self._at:
            self.level = min(self.capacity, self.level + (now - self._at) * self.capacity / MINUTE)
            self._at = now


@final
class Limits:
    """What one tenant uses, and how much of it it may."""

    def __init__(self) -> None:
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None
        self.concurrent = 0
        """Requests at the same time; 0: any number."""
        self.running = 0
        """Requests in this process."""
        self.elsewhere = 0
        """Requests in other gateways, as they last said."""
        self.spent_requests = 0
        """By this process since its start, as are tokens; what other gateways are told."""
        self.spent_tokens = 0

    def limit(self, requests: int, tokens: int, concurrent: int, now: float) -> None:
        """Set limits, of requests and tokens a minute and of requests at the same time; 0: none."""
        self.requests = _resized(self.requests, requests, now)
        self.tokens = _resized(self.tokens, tokens, now)
        self.concurrent = concurrent

    def exceeded(self, estimate: int, now: float) -> str:
        """Which limit a request with so many tokens would exceed: `requests`, `tokens`, `concurrent` or none."""
        if self.concurrent and self.running + self.elsewhere >= self.concurrent:
            return "concurrent"
        requests, tokens = self.requests, self.tokens
        if requests is not None and requests.wait(1.0, now) > 0.0:
            return "requests"
        if tokens is not None and tokens.wait(estimate, now) > 0.0:
            return "tokens"
        return ""

    def begin(self, estimate: int, now: float) -> None:
        """A request goes on its way."""
        self.running += 1
        self._spend(1, self._reserved(estimate), now)

    def end(self, estimate: int, used: int, now: float) -> None:
        """A request that began with this estimate is over."""
        self.running -= 1
        self._spend(0, used - self._reserved(estimate), now)

    def spent_elsewhere(self, requests: int, tokens: int, now: float) -> None:
        """What other gateways spent since they were last asked."""
        if self.requests is not None:
            self.requests.spend(requests, now)
        if self.tokens is not None:
            self.tokens.spend(tokens, now)

    def lower(self, requests: float | None, tokens: float | None, now: float) -> None:
        """No more than this is left; None: nothing is known of it."""
        if self.requests is not None and requests is not None:
            self.requests.spend(max(0.0, self.requests.left(now) - requests), now)
        if self.tokens is not None and tokens is not None:
            self.tokens.spend(max(0.0, self.tokens.left(now) - tokens), now)

    def _spend(self, requests: int, tokens: int, now: float) -> None:
        self.spent_requests += requests
        self.spent_tokens += tokens
        self.spent_elsewhere(requests, tokens, now)

    def _reserved(self, estimate: int) -> int:
        """What a request takes at first: an image in a body is no reason to owe hours."""
        tokens = self.tokens
        return estimate if tokens is None else min(estimate, int(tokens.capacity))


def _resized(bucket: Bucket | None, capacity: int, now: float) -> Bucket | None:
    if not capacity:
        return None
    if bucket is None:
        return Bucket(float(capacity), now)
    if bucket.capacity != capacity:
        bucket.resize(float(capacity), now)
    return bucket


def estimate_of(body_bytes: int) -> int:
    """Tokens of a prompt in a body of this size, in requests for text."""
    return (body_bytes + BYTES_A_TOKEN - 1) // BYTES_A_TOKEN


def tokens_of(estimate: int, prompt: int, completion: int, events: int) -> int:
    """Tokens that a request used, by the engine's own count where it gave one (-1: not).

    Else the prompt counts as estimated, and a stream's completion as its events: engines send one for each token, or
    for a few of them when they are in a hurry.
    """
    return (prompt if prompt >= 0 else estimate) + (completion if completion >= 0 else events)


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: `6m0s`, `1.5s`, `20ms`."""
    milliseconds = int(seconds * 1000 + 0.5)
    if milliseconds < 1000:
        return b"%dms" % milliseconds
    whole, fraction = divmod(milliseconds, 1000)
    minutes, rest = divmod(whole, 60)
    text = b"%ds" % rest if not fraction else b"%d.%bs" % (rest, (b"%03d" % fraction).rstrip(b"0"))
    return b"%dm%b" % (minutes, text) if minutes else text
