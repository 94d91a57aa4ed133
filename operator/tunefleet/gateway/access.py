"""Who may call: the tenant that a key belongs to, and what that tenant may see and use.

The order of a request: `tenant_of` its credentials (401), `sees` the route of its model (404, the same as for a model
that does not exist), `begin` (429), and in the end `end` with the record of what was used.
"""

from typing import TYPE_CHECKING, Final, final

from tunefleet.plan.route_table import Route

if TYPE_CHECKING:
    from .record import Record


@final
class Tenant:
    """One holder of keys. Requests on their way keep their tenant, whatever is reloaded meanwhile."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Of its Secret; for audit lines and metrics."""
        self.limited = False
        """Whether answers carry `lines`."""

    def sees(self, route: Route) -> bool:
        """Whether the model exists for this tenant."""
        return True

    def begin(self, now: float, body_bytes: int) -> None:
        """A request goes on its way. Raises Refusal (429, Retry-After) when a limit is reached.

        Whoever called it without a Refusal sets `record.admitted`, so that `end` gives back what was taken here.
        """

    def end(self, record: "Record") -> None:
        """The request is over. Does nothing for one that was not admitted."""

    def lines(self, now: float) -> bytes:
        """Header lines of the answer, x-ratelimit-*; only worth asking for when `limited`."""
        return b""


ANYONE: Final = Tenant("anyone")
"""Everybody, while the gateway is open."""


@final
class Access:
    """The keys that are valid now."""

    def __init__(self, *, keys: bool = False) -> None:
        self.keys = keys
        """Whether callers need a key; open when not."""
        self.generation = 0
        """Another one after every reload; what was remembered of an older one is void."""

    def tenant_of(self, authorization: bytes | None, api_key: bytes | None = None) -> Tenant:
        """The tenant of a request, by the values of its headers Authorization and x-api-key.

        Raises Refusal (401) when there is no valid key. Good until `generation` changes.
        """
        return ANYONE
