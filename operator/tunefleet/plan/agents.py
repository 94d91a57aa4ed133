"""Which agents can read an adapter's version: they stand beside engines of its base version, and reach its files."""

from collections.abc import Iterable
from datetime import datetime

from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter, LoRAAdapterVersion
from tunefleet.api.names import child_name

from .facts import Facts, ObjectRef
from .inspection import AGENT_PATIENCE_SECONDS, Agents
from .observed import ObservedRevision, observed_revisions
from .selection import carrying_endpoints
from .times import seconds_since
from .versions import claim_of

ENGINE_SUFFIX = "engine"
"""An endpoint's ServiceAccount, Role, RoleBinding, Secret, NetworkPolicy and PodDisruptionBudget are named
`child_name(endpoint, ENGINE_SUFFIX)`."""


ROLE_SECONDS = 5.0
"""Agents are there, and their Role is about to name a Secret that is new: look again after this at the latest."""


def agents_for(facts: Facts, adapter: LoRAAdapter, version: LoRAAdapterVersion, now: datetime) -> Agents:
    """Agents that can be asked about this version now, and how long to wait for one that is starting."""
    endpoints = carrying_endpoints(facts, adapter)
    revisions = [(e, r) for e in endpoints for r in observed_revisions(facts, e) if _reaches(r, version)]
    answering = [(e, pod.pod.key) for e, r in revisions for pod in r.pods if pod.report is not None]
    able = [key for endpoint, key in answering if _may_read(facts, endpoint, version)]
    waits = [_patience(revision, now) for _, revision in revisions]
    waits += [_patience_before_start(facts, endpoint, version, now) for endpoint in endpoints]
    if answering and not able:
        waits.append(ROLE_SECONDS)
    return Agents(able=tuple(sorted(able)), expected_within=max(waits, default=0.0))


def _reaches(revision: ObservedRevision, version: LoRAAdapterVersion) -> bool:
    """It runs the version's base, and mounts the claim that the files are on."""
    parameters = revision.parameters
    if parameters is None or parameters.fixed.base_version != version.base_model_version:
        return False
    claim = claim_of(version.source.uri)
    return claim is None or claim in parameters.claims


def _may_read(facts: Facts, endpoint: InferenceEndpoint, version: LoRAAdapterVersion) -> bool:
    """The Role of its agents names the Secret already: asked before, they would be refused."""
    if version.source.secret_ref is None:
        return True
    name = child_name(endpoint.metadata.name, ENGINE_SUFFIX)
    role = facts.children.get(ObjectRef("Role", endpoint.metadata.namespace, name), {})
    rules: Iterable[dict[str, list[str]]] = role.get("rules") or ()
    return any(version.source.secret_ref.name in rule.get("resourceNames", ()) for rule in rules)


def _patience(revision: ObservedRevision, now: datetime) -> float:
    """A young revision brings an agent soon; one that is old and has none is in trouble of its own."""
    if revision.replicas == 0:
        return 0.0
    return _left(str(revision.deployment["metadata"].get("creationTimestamp") or ""), now)


def _patience_before_start(
    facts: Facts, endpoint: InferenceEndpoint, version: LoRAAdapterVersion, now: datetime
) -> float:
    """A young endpoint of this very base version, without a Deployment so far."""
    spec = endpoint.spec
    starting = spec.replicas > 0 and spec.model.version == version.base_model_version
    if not starting or claim_of(version.source.uri) is not None or observed_revisions(facts, endpoint):
        return 0.0
    return _left(endpoint.metadata.creation_timestamp, now)


def _left(since: str, now: datetime) -> float:
    return max(0.0, AGENT_PATIENCE_SECONDS - seconds_since(since, now)) if since else 0.0
