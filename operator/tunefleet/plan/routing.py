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
from sys import intern
from typing import NamedTuple

from tunefleet.api.inference_endpoint import InferenceEndpoint, RevisionState
from tunefleet.api.names import ENGINE_PORT, engine_name, version_name
from tunefleet.engine.adapters_api import AdaptersReport, AdapterState

from .facts import Key
from .fallback import fallbacks
from .route_table import Backend, EnginePod, Holdings, Route, RouteTable, ServedModel, Target
from .routed import Routed

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


_Holders = Mapping[str, Mapping[str, list[_Holder]]]
"""By namespace, and by engine name."""


def holdings_of(report: AdaptersReport) -> Holdings:
    """What a report says that routing needs."""
    loaded = {intern(a.engine_name): intern(a.digest) for a in report.adapters if a.state is AdapterState.LOADED}
    return Holdings(report.engine.name, report.engine.ready, loaded)


def build_table(
    adapters: Iterable[Routed],
    bases: Iterable[Routed],
    endpoints: Iterable[InferenceEndpoint],
    pods: Iterable[EnginePod],
    reports: Mapping[Key, Holdings],
    engine_port: int = ENGINE_PORT,
) -> RouteTable:
    """The table for this moment. Linear in objects and adapters held (sorting apart); input order does not matter."""
    bases, endpoints = tuple(bases), tuple(endpoints)
    owned = _owners((*bases, *adapters))
    running = tuple(_running(endpoints, sorted(pods, key=lambda pod: pod.key), reports, engine_port))
    holders = _holders(running)
    exact = _exact_routes(owned, holders, _expected(owned, endpoints))
    aliases = _aliases(owned, holders, exact, running, endpoints)
    serving = [pod.backend for pod in running if pod.tier == SERVING]
    for name, fallback in fallbacks(owned, endpoints, serving, exact).items():
        aliases[name] = replace(aliases[name], fallback=fallback)
    parents = {base.key: base.served_name for base in bases}
    models = tuple(_models(owned, aliases, parents))
    trials = tuple([route for route in aliases.values() if route.trial])
    exact.update(aliases)
    return RouteTable(exact, models, trials, tuple([pod.backend for pod in running]))


def _owners(objects: Iterable[Routed]) -> dict[str, Routed]:
    """By served name: the oldest object that asks for it."""
    found: dict[str, Routed] = {}
    for obj in objects:
        other = found.setdefault(obj.served_name, obj)
        if obj.seniority < other.seniority:
            found[obj.served_name] = obj
    return found


def _running(
    endpoints: Iterable[InferenceEndpoint],
    pods: Iterable[EnginePod],
    reports: Mapping[Key, Holdings],
    engine_port: int,
) -> Iterable[_Running]:
    revisions = {
        (endpoint.metadata.namespace, endpoint.metadata.name, revision.name): (revision, endpoint)
        for endpoint in endpoints
        for revision in endpoint.status.revisions
        if revision.state in TIERS
    }
    for pod in pods:
        revision, endpoint = revisions.get((pod.key.namespace, pod.endpoint, pod.revision), (None, None))
        held = reports.get(pod.key)
        if revision is None or held is None or not held.ready or not pod.ip or pod.terminating:
            continue
        if endpoint is None or not _allowed(pod, endpoint.spec.placement.regions):
            continue
        if held.base_engine_name == revision.engine_name:
            region = pod.regions[0] if len(pod.regions) == 1 else ""
            backend = Backend(pod.ip, engine_port, pod.key, pod.endpoint, held.base_engine_name, region)
            yield _Running(TIERS[revision.state], pod.base_model, backend, held)


def _allowed(pod: EnginePod, regions: tuple[str, ...]) -> bool:
    """Whether the pod surely runs in one of these regions, of which an endpoint without any allows all."""
    return not regions or (bool(pod.regions) and set(pod.regions) <= set(regions))


def _holders(running: Iterable[_Running]) -> _Holders:
    found: defaultdict[str, defaultdict[str, list[_Holder]]] = defaultdict(lambda: defaultdict(list))
    for tier, _, backend, holdings in running:
        here = found[backend.pod.namespace]
        here[holdings.base_engine_name].append(_Holder(tier, backend, ""))
        for name, digest in holdings.loaded.items():
            here[name].append(_Holder(tier, backend, digest))
    return found


def _preferred(holders: Iterable[_Holder], digest: str) -> tuple[Backend, ...]:
    """Of the holders of these very bytes, those of the best tier."""
    good = [holder for holder in holders if holder.digest == digest]
    if not good:
        return ()
    best = min([holder.tier for holder in good])
    return tuple([holder.backend for holder in good if holder.tier == best])


def _expected(owned: Mapping[str, Routed], endpoints: Iterable[InferenceEndpoint]) -> Mapping[str, set[str]]:
    """By namespace, engine names: what shall answer, whether or not an engine holds it at this moment."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for owner in owned.values():
        found[owner.key.namespace].update([share.engine_name for share in owner.traffic])
    for endpoint in endpoints:
        serving = [revision for revision in endpoint.status.revisions if TIERS.get(revision.state) == SERVING]
        found[endpoint.metadata.namespace].update([revision.engine_name for revision in serving])
    return found


def _exact_routes(owned: Mapping[str, Routed], holders: _Holders, expected: Mapping[str, set[str]]) -> dict[str, Route]:
    """NAME@vN and exact engine names, for every version that the name's owner vouches for and that is loaded somewhere
    or shall be."""
    routes: dict[str, Route] = {}
    for served_name, owner in owned.items():
        namespace = owner.key.namespace
        here, wanted = holders.get(namespace, {}), expected.get(namespace, ())
        for version, digest in owner.digests:
            name = intern(engine_name(served_name, version, digest))
            backends = _preferred(here.get(name, ()), "" if owner.base is None else digest)
            if backends or name in wanted:
                route = _route(owner, (Target(name, 100, backends),))
                routes[name] = routes[version_name(served_name, version)] = route
    return routes


def _route(owner: Routed, targets: tuple[Target, ...], *, awaited: bool = True, trial: bool = False) -> Route:
    return Route(
        owner.served_name,
        targets,
        None if owner.base is None else owner.key,
        owner.trial if trial else None,
        awaited,
        owner.key.namespace,
        owner.labels,
    )


def _aliases(
    owned: Mapping[str, Routed],
    holders: _Holders,
    exact: Mapping[str, Route],
    running: Iterable[_Running],
    endpoints: Iterable[InferenceEndpoint],
) -> dict[str, Route]:
    serving = _serving(running)
    offered = {Key(endpoint.metadata.namespace, endpoint.spec.model.name) for endpoint in endpoints}
    return {
        name: _base_route(owner, serving, offered)
        if owner.base is None
        else _adapter_route(owner, Key(owner.key.namespace, owner.base), holders, exact, offered)
        for name, owner in owned.items()
    }


def _base_route(base: Routed, serving: Mapping[Key, Mapping[str, list[Backend]]], offered: Container[Key]) -> Route:
    """Endpoints of one base may serve different versions of it: each gets requests by its number of pods."""
    found = serving.get(base.key, {})
    targets = tuple(Target(name, len(backends), tuple(backends)) for name, backends in sorted(found.items()))
    return _route(base, targets, awaited=base.key in offered)


def _adapter_route(
    adapter: Routed, base: Key, holders: _Holders, exact: Mapping[str, Route], offered: Container[Key]
) -> Route:
    """The versions that the status gives traffic and vouches for, wherever they are loaded."""
    held = holders.get(adapter.key.namespace, {})
    targets: list[Target] = []
    for version, name, weight in adapter.traffic:
        digest = adapter.digest(version)
        if weight and digest is not None:
            known = exact.get(name)
            if weight == 100 and known is not None and known.adapter == adapter.key:
                targets += known.targets
            else:
                targets.append(Target(name, weight, _preferred(held.get(name, ()), digest)))
    hopeless = not targets and adapter.refused
    return _route(adapter, tuple(targets), awaited=base in offered and not hopeless, trial=len(targets) > 1)


def _serving(running: Iterable[_Running]) -> Mapping[Key, Mapping[str, list[Backend]]]:
    """By BaseModel and engine name: pods of Serving revisions."""
    found: defaultdict[Key, defaultdict[str, list[Backend]]] = defaultdict(lambda: defaultdict(list))
    for pod in running:
        if pod.tier == SERVING:
            found[Key(pod.backend.pod.namespace, pod.base_model)][pod.backend.base_engine_name].append(pod.backend)
    return found


def _models(
    owned: Mapping[str, Routed], routes: Mapping[str, Route], parents: Mapping[Key, str]
) -> Iterable[ServedModel]:
    for name in sorted(owned):
        owner, route = owned[name], routes[name]
        answering = tuple([target.engine_name for target in route.targets if target.backends])
        if answering:
            parent = parents.get(Key(owner.key.namespace, owner.base)) if owner.base is not None else None
            yield ServedModel(name, owner.seniority.created, parent, answering)
