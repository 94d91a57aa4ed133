"""What the gateway routes by, as data: pods with what they hold go in, names with where they lead come out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .facts import Key

if TYPE_CHECKING:
    from .fallback import Fallback


@dataclass(frozen=True, slots=True)
class EnginePod:
    """The part of an engine pod that routing reads."""

    key: Key
    ip: str
    """Empty while it has none, and once it has ended."""
    endpoint: str
    """Name of its InferenceEndpoint."""
    revision: str
    """Name of its Deployment."""
    base_model: str
    """Name of its BaseModel."""
    terminating: bool = False
    regions: tuple[str, ...] = ()
    """Where it can be: one when its node's region is known, several when its affinity allows them, else none."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an agent says of its engine, reduced to what routing reads."""

    base_engine_name: str
    ready: bool
    """The engine answered a completion since it last started."""
    loaded: Mapping[str, str] = field(default_factory=dict)
    """Engine name to digest of every adapter that the engine holds."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One engine that can answer."""

    ip: str
    port: int
    pod: Key
    endpoint: str
    """Name of its InferenceEndpoint, of the pod's namespace."""
    base_engine_name: str
    """The base that it runs, NAME@vN-DIGEST8."""
    region: str = ""
    """Where it runs; empty when nobody says."""


@dataclass(frozen=True, slots=True)
class Target:
    """One version, the name under which engines know it, and the engines that hold it now."""

    engine_name: str
    weight: int
    """Share of the requests, relative to the other targets of the route."""
    backends: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class TrialTerms:
    """A step of a canary: requests for its name are counted by version."""

    since: str
    """`status.canary.since`; another one is another step."""
    engine_name: str
    """The new version."""
    min_requests: int = 0
    """Requests after which the new version is judged; 0 when it is not."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model name goes. Without a target that has a backend, the model is known and cannot answer now."""

    served_name: str
    targets: tuple[Target, ...] = ()
    """Ordered by version, so that a share keeps its end of the line, see `gateway.stickiness`."""
    adapter: Key | None = None
    """The LoRAAdapter that the name belongs to; None for a BaseModel's."""
    trial: TrialTerms | None = None
    """The step of a canary that has traffic under this name."""
    awaited: bool = True
    """Whether an engine may come that answers: not when no endpoint serves the base, or the one version was refused."""
    namespace: str = ""
    """Of the object that the name belongs to."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the object that the name belongs to."""
    fallback: "Fallback | None" = None
    """Who answers when none of these engines can."""

    @property
    def available(self) -> bool:
        """Some engine can answer now."""
        return any(target.backends for target in self.targets)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A line of GET /v1/models."""

    name: str
    created: str
    """RFC 3339, of the object."""
    parent: str | None
    """Served name of an adapter's base."""
    engine_names: tuple[str, ...]
    """The exact versions that answer, without digests twice."""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything the gateway routes by. Immutable: a change is a new table."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    """By what clients may write as `model`: served names, NAME@vN and exact engine names."""
    models: tuple[ServedModel, ...] = ()
    """Served names with at least one engine, sorted."""
    trials: tuple[Route, ...] = ()
    """The routes with a trial."""
    backends: tuple[Backend, ...] = ()
    """Every engine that some route leads to, once."""


_ENGINE_NAME = re.compile(r"(?P<served>.+)@v(?P<version>\d{1,9})-[0-9a-f]{8}")


def split_engine_name(engine_name: str) -> tuple[str, int] | None:
    """Served name and version number of NAME@vN-DIGEST8; None for anything else."""
    match = _ENGINE_NAME.fullmatch(engine_name)
    return (match["served"], int(match["version"])) if match else None
