"""Who may call: the tenant that a key belongs to, and what that tenant may see and use.

The order of a request: `tenant_of` its credentials (401), `sees` the route of its model (404, the same as for a model
that does not exist), `begin` (429), and in the end `end` with the record of what was used.

A key is found by its sha256. How long that takes depends on the digest, and nobody can choose keys by their digests'
digits, so nothing is learned of keys from times; the last comparison takes constant time all the same.
"""

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, final

from tunefleet.api.api_key import ApiKeyPolicy
from tunefleet.plan.keys import allows
from tunefleet.plan.route_table import Route

from .errors import Refusal, invalid_key, rate_limited
from .limits import Bucket, Limits, duration, estimate_of, tokens_of

if TYPE_CHECKING:
    from .record import Record

RETRY_CONCURRENT: Final = 1.0
"""Retry-After, in seconds, when as many requests run as may: when one ends, nobody knows."""
MAX_SEEN: Final = 512
"""Served names of which a tenant remembers whether it sees them; each takes about 150 bytes."""
_BEARER: Final = b"Bearer "
_REQUESTS: Final = (
    b"x-ratelimit-limit-requests: %d\r\nx-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: %b\r\n"
)
_TOKENS: Final = b"x-ratelimit-limit-tokens: %d\r\nx-ratelimit-remaining-tokens: %d\r\nx-ratelimit-reset-tokens: %b\r\n"
_RAN: Final = frozenset({"2xx", "broken", "disconnected"})
"""Outcomes of requests that an engine worked on."""


@final
class Tenant:
    """One holder of keys. Requests on their way keep their tenant, whatever is reloaded meanwhile."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Of its Secret; for audit lines and metrics."""
        self.limits = Limits()
        self.limited = False
        """Whether answers carry `lines`."""
        self.free = True
        """Whether it has no limit at all."""
        self.sees_all = True
        """Whether every model exists for it."""
        self.policy = ApiKeyPolicy()
        self._seen: dict[str, tuple[Route, bool]] = {}
        """What it was found to see, by served name; of the very routes of the table, so another table is looked at
        anew."""

    def follow(self, policy: ApiKeyPolicy, now: float) -> None:
        """Another policy from now on; what was used of the limits stays used."""
        self.policy = policy
        self.sees_all = policy.models is None
        self._seen.clear()
        requests, tokens = policy.requests_per_minute or 0, policy.tokens_per_minute or 0
        self.limits.limit(requests, tokens, policy.max_concurrent_requests or 0, now)
        self.limited = bool(requests or tokens)
        self.free = not (requests or tokens or policy.max_concurrent_requests)

    def sees(self, route: Route) -> bool:
        """Whether the model exists for this tenant."""
        if self.sees_all:
            return True
        known = self._seen.get(route.served_name)
        if known is not None and known[0] is route:
            return known[1]
        seen = allows(self.policy, route.served_name, route.namespace, route.labels)
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen[route.served_name] = (route, seen)
        return seen

    def begin(self, now: float, body_bytes: int) -> None:
        """A request goes on its way. Raises Refusal (429, Retry-After) when a limit is reached.

        Whoever called it without a Refusal sets `record.admitted`, so that `end` gives back what was taken here.
        """
        if self.free:
            self.limits.running += 1
            return
        estimate = estimate_of(body_bytes)
        exceeded = self.limits.exceeded(estimate, now)
        if exceeded:
            raise self._refusal(exceeded, estimate, now)
        self.limits.begin(estimate, now)

    def end(self, record: "Record") -> None:
        """The request is over. Does nothing for one that was not admitted."""
        if not record.admitted:
            return
        if self.free:
            self.limits.running -= 1
            return
        estimate, used = estimate_of(record.body_bytes), 0
        if record.outcome in _RAN:
            used = tokens_of(estimate, record.prompt_tokens, record.completion_tokens, record.events)
        self.limits.end(estimate, used, record.ended)

    def lines(self, now: float) -> bytes:
        """Header lines of the answer, x-ratelimit-*; only worth asking for when `limited`."""
        limits = self.limits
        return _lines(_REQUESTS, limits.requests, now) + _lines(_TOKENS, limits.tokens, now)

    def _refusal(self, exceeded: str, estimate: int, now: float) -> Refusal:
        limits = self.limits
        lines = self.lines(now).decode().splitlines()
        headers = tuple([(name, value) for name, _, value in [line.partition(": ") for line in lines]])
        if exceeded == "concurrent":
            message = f"This key may have {limits.concurrent} requests at a time. Wait until one has ended."
            return rate_limited("requests", message, RETRY_CONCURRENT, headers)
        bucket, needed = (limits.requests, 1) if exceeded == "requests" else (limits.tokens, estimate)
        assert bucket is not None
        seconds = bucket.wait(needed, now)
        message = (
            f"This key may use {bucket.capacity:.0f} {exceeded} a minute. Try again in {duration(seconds).decode()}."
        )
        return rate_limited(exceeded, message, seconds, headers)


def _lines(template: bytes, bucket: Bucket | None, now: float) -> bytes:
    if bucket is None:
        return b""
    full = bucket.wait(bucket.capacity, now)
    return template % (int(bucket.capacity), max(0, int(bucket.level)), duration(full))


ANYONE: Final = Tenant("anyone")
"""Everybody, while the gateway is open."""


@final
class _Holder:
    """A key that is valid."""

    def __init__(self, digest: bytes, tenant: Tenant) -> None:
        self.digest = digest
        self.tenant = tenant


@final
class Access:
    """The keys that are valid now."""

    def __init__(self, *, keys: bool = False) -> None:
        self.keys = keys
        """Whether callers need a key; open when not."""
        self.generation = 0
        """Another one after every reload; what was remembered of an older one is void."""
        self.tenants: tuple[Tenant, ...] = ()
        """Those that have a valid key."""
        self._holders: dict[bytes, _Holder] = {}

    def tenant_of(self, authorization: bytes | None, api_key: bytes | None = None) -> Tenant:
        """The tenant of a request, by the values of its headers Authorization and x-api-key.

        Raises Refusal (401) when there is no valid key. Good until `generation` changes.
        """
        if not self.keys:
            return ANYONE
        key = api_key if authorization is None else _token(authorization) or api_key
        if not key:
            raise invalid_key("No API key was given: send it as `Authorization: Bearer KEY`, or as `x-api-key: KEY`.")
        digest = sha256(key).digest()
        holder = self._holders.get(digest)
        if holder is None or not compare_digest(holder.digest, digest):
            raise invalid_key("This API key is not valid: it is unknown here, has expired or was revoked.")
        return holder.tenant

    def replace(self, tenants: Mapping[bytes, Tenant]) -> None:
        """From now on just these keys are valid, each by its sha256 (32 bytes)."""
        self._holders = {digest: _Holder(digest, tenant) for digest, tenant in tenants.items()}
        self.tenants = tuple({tenant.name: tenant for tenant in tenants.values()}.values())
        self.generation += 1

    @property
    def key_count(self) -> int:
        """Keys that are valid."""
        return len(self._holders)


def _token(authorization: bytes) -> bytes:
    """What stands behind the scheme; nothing for another scheme than Bearer."""
    if authorization[:7].lower() != _BEARER.lower():
        return b""
    return authorization[7:].strip()
