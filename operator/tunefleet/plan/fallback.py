"""Who answers for a name when the endpoint that should cannot: another endpoint's base, or an upstream outside.

A fallback has other weights, so it is always said in the answer, it is never taken for an exact version (NAME@vN), and
for an adapter only where the endpoint's `fallback.adapters` selects it. There is one hop: whoever stands in has no
stand-in of its own for that request, so two endpoints may name each other.
"""

from dataclasses import dataclass

from .facts import Key
from .route_table import Target


@dataclass(frozen=True, slots=True)
class External:
    """An OpenAI-compatible server that Tunefleet does not run."""

    url: str
    """Without the API's own path: what `/v1/chat/completions` is appended to."""
    model: str
    """The name that it knows the model by."""
    secret: Key | None = None
    """The Secret with its API key."""
    secret_key: str = "apiKey"  # noqa: S105 - the name of a Secret's field
    region: str = ""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Of one endpoint, for one route; exactly one of `target` and `external` is given."""

    endpoint: Key
    """Whose fallback it is."""
    mark: str
    """`endpoint/NAME` or `external/NAME`: what the header x-tunefleet-fallback says."""
    target: Target | None = None
    """The base that the other endpoint serves, and its engines in regions that are allowed."""
    external: External | None = None
