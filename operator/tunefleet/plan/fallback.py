"""Who answers for a name when the endpoint that should cannot: another endpoint's base, or an upstream outside.

A fallback has other weights, so it is always said in the answer, it is never taken for an exact version (NAME@vN), and
for an adapter only where the endpoint's `fallback.adapters` selects it. There is one hop: whoever stands in has no
stand-in of its own for that request, so two endpoints may name each other.

Where several endpoints serve a name, the first one by name that has a usable fallback lends it.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from tunefleet.api.inference_endpoint import ExternalUpstream, InferenceEndpoint

from .facts import Key
from .route_table import Backend, Target
from .routed import Routed
from .selection import carries


@dataclass(frozen=True, slots=True)
class External:
    """An OpenAI-compatible server that Tunefleet does not run."""

    url: str
    """Base URL as OpenAI's clients take it; without a path, /v1 is meant."""
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
    """The base that the other endpoint serves, and its engines in regions that are allowed; at least one."""
    external: External | None = None


def fallbacks(
    owned: Mapping[str, Routed],
    endpoints: Iterable[InferenceEndpoint],
    serving: Iterable[Backend],
    vouched: Container[str],
) -> dict[str, Fallback]:
    """By served name, for those that have one that can be tried now.

    `serving`: engines of Serving revisions; `vouched`: engine names of versions whose owner's status knows them.
    """
    lending = [endpoint for endpoint in endpoints if endpoint.spec.fallback is not None]
    if not lending:
        return {}
    engines: defaultdict[Key, list[Backend]] = defaultdict(list)
    for backend in serving:
        if backend.base_engine_name in vouched:
            engines[Key(backend.pod.namespace, backend.endpoint)].append(backend)
    usable: defaultdict[Key, list[tuple[InferenceEndpoint, Fallback]]] = defaultdict(list)
    for endpoint in sorted(lending, key=lambda e: (e.metadata.namespace, e.metadata.name)):
        fallback = _of(endpoint, engines)
        if fallback is not None:
            usable[Key(endpoint.metadata.namespace, endpoint.spec.model.name)].append((endpoint, fallback))
    found = ((name, _for(owner, usable)) for name, owner in owned.items())
    return {name: fallback for name, fallback in found if fallback is not None}


def _for(owner: Routed, usable: Mapping[Key, list[tuple[InferenceEndpoint, Fallback]]]) -> Fallback | None:
    """The first that may answer for this object."""
    base = owner.key if owner.base is None else Key(owner.key.namespace, owner.base)
    for endpoint, fallback in usable.get(base, ()):
        if owner.base is None or _lends_to(endpoint, base, owner.labels):
            return fallback
    return None


def _lends_to(endpoint: InferenceEndpoint, base: Key, labels: Mapping[str, str]) -> bool:
    """The endpoint carries the adapter, and its fallback may answer in place of the adapter's weights."""
    chosen = endpoint.spec.fallback.adapters if endpoint.spec.fallback else None
    if chosen is None or not carries(endpoint, base, labels):
        return False
    return chosen.match_labels.items() <= labels.items()


def _of(endpoint: InferenceEndpoint, engines: Mapping[Key, list[Backend]]) -> Fallback | None:
    namespace, regions = endpoint.metadata.namespace, endpoint.spec.placement.regions
    own = Key(namespace, endpoint.metadata.name)
    fallback = endpoint.spec.fallback
    if fallback is None:
        return None
    if fallback.external is not None:
        if regions and fallback.external.region not in regions:
            return None
        return Fallback(own, f"external/{own.name}", external=_external(namespace, fallback.external))
    other = Key(namespace, fallback.endpoint_ref.name if fallback.endpoint_ref else "")
    near = [b for b in engines.get(other, ()) if not regions or b.region in regions] if other != own else []
    return Fallback(own, f"endpoint/{other.name}", target=_target(near)) if near else None


def _target(backends: list[Backend]) -> Target:
    """While a new base version takes over a few pods at a time, the one that most of them have."""
    names = [backend.base_engine_name for backend in backends]
    most = max(sorted(set(names)), key=names.count)
    return Target(most, 100, tuple([backend for backend in backends if backend.base_engine_name == most]))


def _external(namespace: str, upstream: ExternalUpstream) -> External:
    reference = upstream.secret_ref
    return External(
        upstream.url,
        upstream.model,
        Key(namespace, reference.name) if reference else None,
        reference.key if reference else "",
        upstream.region or "",
    )
