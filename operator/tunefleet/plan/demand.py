"""What gateways know of requests, as they tell it to the operator: which adapters were asked for, and how canaries do.

GET DEMAND_PATH?after=ETAG on the gateway's admin port is a long poll like the agents': it answers at once when the etag
is another one, when somebody asks for an adapter that no engine holds, or when a trial has got enough requests to be
looked at again; else after LONG_POLL_SECONDS.
"""

from typing import Annotated

from pydantic import Field

from tunefleet.api.schema import Schema

DEMAND_PORT = 9090
"""Gateways' admin port, as the chart sets it."""
DEMAND_PATH = "/v1/demand"
LONG_POLL_SECONDS = 10.0

FIRST_TOKEN_BOUNDS: tuple[float, ...] = tuple(round(0.001 * 1.1**n, 6) for n in range(128))
"""Upper bounds, in seconds, of the buckets of a trial's histogram: 1 ms to 181 s, each 10 % above the one before.
What a canary is compared by is known to two of them."""


class AdapterDemand(Schema):
    """Requests for one LoRAAdapter at one gateway."""

    namespace: str
    name: str
    """Of the LoRAAdapter."""
    waiting: int = 0
    """Requests that are held because no engine holds the version."""
    in_flight: int = 0
    """Requests at engines now."""
    last_asked: str
    """When the last request came, RFC 3339; to a tenth of LONG_POLL_SECONDS, so that load alone makes no news."""
    requests_per_minute: float = 0.0
    """Moving average over about five minutes."""


class VersionSample(Schema):
    """What was counted of one version since the trial's step began."""

    engine_name: str
    requests: int = 0
    """Requests that ended, but for those whose client left before the answer began."""
    errors: int = 0
    """Of these: 5xx, broken streams, and no answer."""
    first_token: Annotated[tuple[int, ...], Field(max_length=129)] = ()
    """Streamed answers by time to first token: one count for each of FIRST_TOKEN_BOUNDS, and one for what is above."""


class Trial(Schema):
    """A canary's step, as LoRAAdapter.status.canary names it by its `since`."""

    namespace: str
    name: str
    """Of the LoRAAdapter."""
    since: str
    """`status.canary.since` when the counting began: another value starts anew."""
    versions: tuple[VersionSample, ...] = ()


class DemandReport(Schema):
    """Everything that one gateway process tells."""

    etag: str
    """BOOT-N; another boot means that counting began anew."""
    since: str = ""
    """When the process began to count, RFC 3339: what is not listed was not asked for since then. Empty: unknown."""
    adapters: tuple[AdapterDemand, ...] = ()
    """Adapters asked for since then, in the last week (the longest idleSeconds) at least, or with requests now."""
    trials: tuple[Trial, ...] = ()
    """Canaries that have traffic."""
