"""What an endpoint is asked to run, or why that cannot be run (yet): ordered checks, the first hit wins."""

from dataclasses import dataclass

from tunefleet.api.base_model import Architecture, BaseModel, BaseModelVersionStatus
from tunefleet.api.common import Version
from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.names import engine_name
from tunefleet.engine.flags import extra_args_problem

from .facts import Facts, Key
from .summary import Obstacle, refused, working
from .versions import entry_of


@dataclass(frozen=True)
class BaseTarget:
    """One accepted version of a base."""

    name: str
    version: int
    digest: str
    uri: str
    """Resolved."""
    secret_name: str | None
    engine_name: str
    architecture: Architecture


def base_target(facts: Facts, namespace: str, name: str, version: int) -> BaseTarget | Obstacle:
    """The base version, if it may be served."""
    base = facts.base_models.get(Key(namespace, name))
    if base is None or base.metadata.deletion_timestamp:
        return refused(Reason.BASE_NOT_FOUND, f"there is no BaseModel {name} in namespace {namespace}; create it")
    listed = next((v for v in base.spec.versions if v.version == version), None)
    if listed is None:
        numbers = ", ".join(str(v.version) for v in base.spec.versions)
        return refused(Reason.BASE_VERSION_NOT_FOUND, f"BaseModel {name} has no version {version}; it has {numbers}")
    entry = entry_of(base.status.versions, version)
    if entry is not None and entry.accepted is False:
        return refused(Reason.BASE_REFUSED, f"version {version} of BaseModel {name} is refused: {entry.message}")
    return _accepted(base, listed, entry)


def endpoint_target(facts: Facts, endpoint: InferenceEndpoint) -> BaseTarget | Obstacle:
    """What the endpoint's spec asks for."""
    if problem := extra_args_problem(endpoint.spec.engine.extra_args):
        return refused(Reason.SPEC_INVALID, problem)
    model = endpoint.spec.model
    return base_target(facts, endpoint.metadata.namespace, model.name, model.version)


def _accepted(base: BaseModel, listed: Version, entry: BaseModelVersionStatus | None) -> BaseTarget | Obstacle:
    name, version = base.metadata.name, listed.version
    if entry is None or not entry.accepted or entry.digest is None or entry.architecture is None:
        said = f": {entry.message}" if entry and entry.message else ""
        return working(Reason.WAITING_FOR_BASE, f"version {version} of BaseModel {name} is not accepted yet{said}")
    secret = listed.source.secret_ref
    return BaseTarget(
        name=name,
        version=version,
        digest=entry.digest,
        uri=entry.resolved_uri or listed.source.uri,
        secret_name=secret.name if secret else None,
        engine_name=engine_name(base.served_name, version, entry.digest),
        architecture=entry.architecture,
    )
