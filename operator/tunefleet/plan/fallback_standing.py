"""Whether an endpoint's fallback may be used, as its condition FallbackReady says it."""

from collections.abc import Mapping

from tunefleet.api.conditions import Reason, Status
from tunefleet.api.inference_endpoint import ExternalUpstream, InferenceEndpoint
from tunefleet.api.names import child_name

from .facts import Key
from .finding import Finding

FALLBACK_SUFFIX = "fallback"
Standing = tuple[Status, Finding]


def fallback_standing(
    endpoint: InferenceEndpoint, endpoints: Mapping[Key, InferenceEndpoint], secrets: Mapping[Key, bool]
) -> Standing | None:
    """Of the endpoint; None where it has no fallback. `secrets`: whether each Secret that was looked for exists."""
    fallback = endpoint.spec.fallback
    if fallback is None:
        return None
    if fallback.external is not None:
        return _external(endpoint, fallback.external, secrets)
    return _other(endpoint, fallback.endpoint_ref.name if fallback.endpoint_ref else "", endpoints)


def fallback_secret(endpoint: InferenceEndpoint) -> Key | None:
    """The Secret with the API key of an external fallback."""
    external = endpoint.spec.fallback.external if endpoint.spec.fallback else None
    if external is None or external.secret_ref is None:
        return None
    return Key(endpoint.metadata.namespace, external.secret_ref.name)


def fallback_access_name(endpoint: str) -> str:
    """Of the Role and the RoleBinding that let gateways read it."""
    return child_name(endpoint, FALLBACK_SUFFIX)


def _external(endpoint: InferenceEndpoint, external: ExternalUpstream, secrets: Mapping[Key, bool]) -> Standing:
    namespace, regions = endpoint.metadata.namespace, endpoint.spec.placement.regions
    if regions and external.region not in regions:  # the schema refuses it; an older object may have it
        return _bad(Reason.REGION_NOT_ALLOWED, f"fallback.external.region must be one of {_listed(regions)}")
    reference = external.secret_ref
    if reference is not None and not secrets.get(Key(namespace, reference.name), True):
        return _bad(
            Reason.SECRET_NOT_FOUND,
            f"fallback.external.secretRef names the Secret {reference.name}, which does not exist in namespace "
            f"{namespace}; create it with the key {reference.key}",
        )
    return "True", Finding(Reason.RESOLVED, f"{external.model} at {external.url} stands in")


def _other(endpoint: InferenceEndpoint, name: str, endpoints: Mapping[Key, InferenceEndpoint]) -> Standing:
    namespace, regions = endpoint.metadata.namespace, endpoint.spec.placement.regions
    other = endpoints.get(Key(namespace, name))
    if other is None or other.metadata.deletion_timestamp:
        return _bad(
            Reason.ENDPOINT_NOT_FOUND,
            f"fallback.endpointRef names InferenceEndpoint {name}, which does not exist in namespace {namespace}",
        )
    theirs = other.spec.placement.regions
    if regions and theirs and not set(regions) & set(theirs):
        return _bad(
            Reason.REGION_NOT_ALLOWED,
            f"InferenceEndpoint {name} runs in {_listed(theirs)}, and requests for this endpoint stay in "
            f"{_listed(regions)}",
        )
    where = f", on pods in {_listed(regions)}" if regions else ""
    return "True", Finding(Reason.RESOLVED, f"{other.spec.model.name} of InferenceEndpoint {name} stands in{where}")


def _bad(reason: Reason, message: str) -> Standing:
    return "False", Finding(reason, message)


def _listed(regions: tuple[str, ...]) -> str:
    return ", ".join(sorted(regions))
