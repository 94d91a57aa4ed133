"""Where a request for a model name may go: a table computed from the three kinds, engine pods and agents' reports.

The promise that this file keeps is "right weights or an error":
- A name belongs to one object (`served_names.owners`); a younger namesake gets no traffic, not even by exact name.
- An adapter's version runs only on pods of its own namespace whose agent reports the very digest that the object's
  status recorded for that version, loaded, on an engine that answered. A pod that merely should hold it is no
  candidate.
- Pods of a Draining revision, or of one that the endpoint's status does not list, get nothing new.

A name without a candidate is still in the table: the gateway holds requests for what is asleep, starting or restarting,
and tells them from what is unknown (404).
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint, RevisionState
from tunefleet.api.lora_adapter import LoRAAdapter, Traffic
from tunefleet.api.names import ENGINE_PORT, version_name
from tunefleet.engine.adapters_api import AdaptersReport, AdapterState

from .facts import Key
from .fallback import fallbacks
from .route_table import (
    Backend,
    EnginePod,
    Holdings,
    Route,
    RouteTable,
    ServedModel,
    Target,
    TrialTerms,
    split_engine_name,
)
from .served_names import Served, owners

TIERS: Mapping[RevisionState, int] = {"Serving": 0, "Warm": 1, "Progressing": 2}
"""Revisions that may answer, the preferred first. A Warm one answers for adapters pinned to its base version."""
SERVING = TIERS["Serving"]


class _Running(NamedTuple):
    """A pod that may get requests."""

    tier: int
    base_model: str
    backend: Backend
    holdings: Holdings


class _Holder(NamedTuple):
    """One engine that holds one version of an adapter or of a base."""

    tier: int
    backend: Backend
    digest: str
    """Of the adapter's files; empty for a base, whose digest the pod verified before the engine started."""


_Holders = Mapping[Key, list[_Holder]]
"""By namespace and engine name."""


def holdings_of(report: AdaptersReport) -> Holdings:
    """What a report says that routing needs."""
    loaded = {a.engine_name: a.digest for a in report.adapters if a.state is AdapterState.LOADED}
    return Holdings(report.engine.name, report.engine.ready, loaded)


def build_table(
    adapters: Iterable[LoRAAdapter],
    bases: Iterable[BaseModel],
    endpoints: Iterable[InferenceEndpoint],
    pods: Iterable[EnginePod],
    reports: Mapping[Key, Holdings],
    engine_port: int = ENGINE_PORT,
) -> RouteTable:
    """The table for this moment. Linear in objects and adapters held (sorting apart); input order does not matter."""
    bases, endpoints = tuple(bases), tuple(endpoints)
    owned = owners((*bases, *adapters))
    running = tuple(_running(endpoints, sorted(pods, key=lambda pod: pod.key), reports, engine_port))
    holders = _holders(running)
    exact = _exact_routes(owned, holders, _expected(owned, endpoints))
    aliases = _aliases(owned, holders, running, endpoints)
    serving = [pod.backend for pod in running if pod.tier == SERVING]
    for name, fallback in fallbacks(owned, endpoints, serving, exact).items():
        aliases[name] = replace(aliases[name], fallback=fallback)
    routes = exact | aliases
    parents = {Key(base.metadata.namespace, base.metadata.name): base.served_name for base in bases}
    trials = tuple([route for route in aliases.values() if route.trial])
    return RouteTable(routes, tuple(_models(owned, routes, parents)), trials)


def _running(
    endpoints: Iterable[InferenceEndpoint],
    pods: Iterable[EnginePod],
    reports: Mapping[Key, Holdings],
    engine_port: int,
) -> Iterable[_Running]:
    revisions = {
        (endpoint.metadata.namespace, endpoint.metadata.name, revision.name): revision
        for endpoint in endpoints
        for revision in endpoint.status.revisions
        if revision.state in TIERS
    }
    for pod in pods:
        revision = revisions.get((pod.key.namespace, pod.endpoint, pod.revision))
        held = reports.get(pod.key)
        if revision is None or held is None or not held.ready or not pod.ip or pod.terminating:
            continue
        if held.base_engine_name == revision.engine_name:
            backend = Backend(pod.ip, engine_port, pod.key, pod.endpoint, held.base_engine_name)
            yield _Running(TIERS[revision.state], pod.base_model, backend, held)


def _holders(running: Iterable[_Running]) -> _Holders:
    found: defaultdict[Key, list[_Holder]] = defaultdict(list)
    for pod in running:
        namespace = pod.backend.pod.namespace
        found[Key(namespace, pod.holdings.base_engine_name)].append(_Holder(pod.tier, pod.backend, ""))
        for engine_name, digest in pod.holdings.loaded.items():
            found[Key(namespace, engine_name)].append(_Holder(pod.tier, pod.backend, digest))
    return found


def _preferred(holders: Iterable[_Holder], digest: str) -> tuple[Backend, ...]:
    """Of the holders of these very bytes, those of the best tier."""
    good = [holder for holder in holders if holder.digest == digest]
    if not good:
        return ()
    best = min([holder.tier for holder in good])
    return tuple([holder.backend for holder in good if holder.tier == best])


def _expected(owned: Mapping[str, Served], endpoints: Iterable[InferenceEndpoint]) -> frozenset[Key]:
    """By namespace and engine name: what shall answer, whether or not an engine holds it at this moment."""
    shares = (
        Key(owner.metadata.namespace, share.engine_name)
        for owner in owned.values()
        if isinstance(owner, LoRAAdapter)
        for share in owner.status.traffic
    )
    revisions = (
        Key(endpoint.metadata.namespace, revision.engine_name)
        for endpoint in endpoints
        for revision in endpoint.status.revisions
        if TIERS.get(revision.state) == SERVING
    )
    return frozenset((*shares, *revisions))


def _exact_routes(owned: Mapping[str, Served], holders: _Holders, expected: frozenset[Key]) -> dict[str, Route]:
    """NAME@vN and exact engine names, for every version that is loaded somewhere or shall be, and that the name's owner
    knows."""
    routes: dict[str, Route] = {}
    for key in (*holders, *expected.difference(holders)):
        parts = split_engine_name(key.name)
        owner = owned.get(parts[0]) if parts else None
        if parts is None or owner is None or owner.metadata.namespace != key.namespace:
            continue
        digest = _digest(owner, parts[1])
        wanted = digest if isinstance(owner, LoRAAdapter) else ""
        if digest is None or wanted is None or not key.name.endswith(digest.removeprefix("sha256:")[:8]):
            continue
        backends = _preferred(holders.get(key, ()), wanted)
        if backends or key in expected:
            adapter = _key_of(owner) if isinstance(owner, LoRAAdapter) else None
            route = Route(parts[0], (Target(key.name, 100, backends),), adapter)
            routes[key.name] = routes[version_name(*parts)] = route
    return routes


def _digest(owner: Served, version: int) -> str | None:
    """What the object's status says the version's files hash to; None for a version that it does not vouch for."""
    for entry in owner.status.versions:
        if entry.version == version:
            return entry.digest if entry.accepted is not False else None
    return None


def _aliases(
    owned: Mapping[str, Served],
    holders: _Holders,
    running: Iterable[_Running],
    endpoints: Iterable[InferenceEndpoint],
) -> dict[str, Route]:
    serving = _serving(running)
    offered = {Key(endpoint.metadata.namespace, endpoint.spec.model.name) for endpoint in endpoints}
    return {
        name: _adapter_route(owner, holders, offered)
        if isinstance(owner, LoRAAdapter)
        else Route(name, _base_targets(owner, serving), awaited=_key_of(owner) in offered)
        for name, owner in owned.items()
    }


def _key_of(owner: Served) -> Key:
    return Key(owner.metadata.namespace, owner.metadata.name)


def _adapter_route(adapter: LoRAAdapter, holders: _Holders, offered: Container[Key]) -> Route:
    targets = _adapter_targets(adapter, holders)
    base = Key(adapter.metadata.namespace, adapter.spec.base_model_ref.name)
    hopeless = not targets and _refused(adapter, adapter.spec.active_version)
    return Route(
        adapter.served_name,
        targets,
        _key_of(adapter),
        _trial(adapter) if len(targets) > 1 else None,
        awaited=base in offered and not hopeless,
    )


def _trial(adapter: LoRAAdapter) -> TrialTerms | None:
    """The step that status.canary says, while it gives the new version traffic."""
    canary, analysis = adapter.status.canary, adapter.spec.rollout.analysis
    for share in adapter.status.traffic if canary else ():
        if canary and share.version == canary.version:
            return TrialTerms(canary.since, share.engine_name, analysis.min_requests if analysis else 0)
    return None


def _refused(adapter: LoRAAdapter, version: int) -> bool:
    return any(entry.version == version and entry.accepted is False for entry in adapter.status.versions)


def _adapter_targets(adapter: LoRAAdapter, holders: _Holders) -> tuple[Target, ...]:
    """The versions that the status gives traffic and vouches for, wherever they are loaded."""
    targets = []
    for share in _by_version(adapter.status.traffic):
        digest = _digest(adapter, share.version)
        held = holders.get(Key(adapter.metadata.namespace, share.engine_name), ())
        if share.weight and digest is not None:
            targets.append(Target(share.engine_name, share.weight, _preferred(held, digest)))
    return tuple(targets)


def _by_version(traffic: tuple[Traffic, ...]) -> Iterable[Traffic]:
    return traffic if len(traffic) < 2 else sorted(traffic, key=lambda share: share.version)


def _serving(running: Iterable[_Running]) -> Mapping[Key, Mapping[str, list[Backend]]]:
    """By BaseModel and engine name: pods of Serving revisions."""
    found: defaultdict[Key, defaultdict[str, list[Backend]]] = defaultdict(lambda: defaultdict(list))
    for pod in running:
        if pod.tier == SERVING:
            found[Key(pod.backend.pod.namespace, pod.base_model)][pod.backend.base_engine_name].append(pod.backend)
    return found


def _base_targets(base: BaseModel, serving: Mapping[Key, Mapping[str, list[Backend]]]) -> tuple[Target, ...]:
    """Endpoints of one base may serve different versions of it: each gets requests by its number of pods."""
    found = serving.get(Key(base.metadata.namespace, base.metadata.name), {})
    return tuple(Target(engine_name, len(backends), tuple(backends)) for engine_name, backends in sorted(found.items()))


def _models(
    owned: Mapping[str, Served], routes: Mapping[str, Route], parents: Mapping[Key, str]
) -> Iterable[ServedModel]:
    for name in sorted(owned):
        owner, route = owned[name], routes[name]
        if route.available:
            yield ServedModel(
                name,
                owner.metadata.creation_timestamp,
                _parent(owner, parents),
                tuple(target.engine_name for target in route.targets if target.backends),
            )


def _parent(owner: Served, parents: Mapping[Key, str]) -> str | None:
    if isinstance(owner, LoRAAdapter):
        return parents.get(Key(owner.metadata.namespace, owner.spec.base_model_ref.name))
    return None
