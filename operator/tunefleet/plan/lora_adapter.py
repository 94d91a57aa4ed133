"""LoRAAdapter: read every version once, judge it against its base, and move the served name when engines are ready."""

from dataclasses import replace
from datetime import datetime

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.api.lora_adapter import (
    LoRAAdapter,
    LoRAAdapterStatus,
    LoRAAdapterVersion,
    LoRAAdapterVersionStatus,
)
from tunefleet.api.names import version_name

from .adapter_events import adapter_events
from .adapter_obstacles import AdapterView, first_obstacle, taken_back_finding
from .agents import agents_for
from .canary import requeue_after
from .decision import Decision, Owner
from .facts import Facts, Key, ObjectRef
from .finding import Finding
from .fingerprints import with_fingerprints
from .gate import check_adapter
from .holdings import sleeps
from .inspection import Reading, Subject, read_version
from .judgement import judge, refusal, reuse_known, waiting
from .loading import sleep, slumber
from .name_conflict import name_conflict
from .outcome import condition_events, status_patches
from .readings import combined
from .serving_version import Serving, serving
from .summary import conditions, summarize
from .target import BaseTarget, base_target
from .versions import entry_of, merged, remembered, settled

KIND = "LoRAAdapter"
MAX_MODULES = 64
"""As the schema of status.versions[].targetModules says."""


def decide(facts: Facts, key: Key, now: datetime) -> Decision:
    """What to do about one LoRAAdapter."""
    adapter = facts.adapters.get(key)
    if adapter is None or adapter.metadata.deletion_timestamp:
        return Decision()
    judged = [_version(facts, adapter, version, now) for version in adapter.spec.versions]
    entries = _entries(adapter, [e for e, _ in judged])
    known = adapter.model_copy(update={"status": adapter.status.model_copy(update={"versions": entries})})
    known = with_fingerprints(facts, known, now)
    rest = sleep(facts, known, now)
    known = known.model_copy(update={"status": known.status.model_copy(update={"asleep_since": rest.since})})
    served = serving(facts, known, now)
    status = _status(facts, known, served, now)
    ref = ObjectRef(KIND, *key)
    decision = combined(
        [(_subject(adapter, entry.version), reading) for entry, reading in judged],
        statuses=status_patches(ref, adapter.status, status),
        events=(
            *condition_events(ref, adapter.metadata, adapter.status, status),
            *adapter_events(ref, adapter, served),
        ),
    )
    times = (decision.requeue_after, rest.earliest, requeue_after(served.canary, adapter.spec.rollout, now))
    return replace(decision, requeue_after=min((t for t in times if t is not None), default=None))


def _version(
    facts: Facts, adapter: LoRAAdapter, version: LoRAAdapterVersion, now: datetime
) -> tuple[LoRAAdapterVersionStatus, Reading]:
    former = entry_of(adapter.status.versions, version.version)
    if former is not None and settled(former, version):
        return former, Reading()
    if reuse := reuse_known(former, version):
        return refusal(former, version, reuse, LoRAAdapterVersionStatus), Reading()
    base = base_target(facts, adapter.metadata.namespace, adapter.spec.base_model_ref.name, version.base_model_version)
    if not isinstance(base, BaseTarget):
        return waiting(former, version, base.finding, LoRAAdapterVersionStatus), Reading()
    reading = read_version(facts, _subject(adapter, version.version), agents_for(facts, adapter, version, now), now)
    entry = judge(former, version, reading, lambda result: _accepted(version, base, result), LoRAAdapterVersionStatus)
    return entry, reading


def _accepted(
    version: LoRAAdapterVersion, base: BaseTarget, result: InspectionResult
) -> LoRAAdapterVersionStatus | Finding:
    """The gate: what a base's engine could not carry, or could only carry wrongly, never reaches one."""
    if result.adapter is None:
        return Finding(
            Reason.CONFIG_INVALID, f"version {version.version} has no adapter_config.json that could be read"
        )
    if finding := check_adapter(result.adapter, base.architecture):
        return Finding(finding.reason, finding.message)
    return LoRAAdapterVersionStatus(
        version=version.version,
        digest=result.digest,
        resolved_uri=result.resolved_uri or version.source.uri,
        size_bytes=result.size_bytes,
        accepted=True,
        lineage=result.lineage,
        base_model_version=version.base_model_version,
        rank=result.adapter.rank,
        target_modules=tuple(sorted(result.adapter.modules))[:MAX_MODULES],
    )


def _entries(adapter: LoRAAdapter, current: list[LoRAAdapterVersionStatus]) -> tuple[LoRAAdapterVersionStatus, ...]:
    """The serving version is kept whole also after it left the spec: it answers until another one does."""
    listed = [v.version for v in adapter.spec.versions]
    serving_version = adapter.status.serving_version
    kept = () if serving_version is None else (serving_version,)
    return merged(current, remembered(adapter.status.versions, listed, kept))


def _subject(adapter: LoRAAdapter, number: int) -> Subject:
    version = next(v for v in adapter.spec.versions if v.version == number)
    secret = version.source.secret_ref
    return Subject(
        owner=Owner(ObjectRef(KIND, adapter.metadata.namespace, adapter.metadata.name), adapter.metadata.uid),
        kind="adapter",
        version=number,
        uri=version.source.uri,
        digest=version.digest,
        secret_name=secret.name if secret else None,
    )


def _status(facts: Facts, known: LoRAAdapter, served: Serving, now: datetime) -> LoRAAdapterStatus:
    """`known` carries the entries of this decision."""
    generation = known.metadata.generation
    summary = summarize(first_obstacle(AdapterView(facts, known, served, now)), _answered(facts, known, served))
    return LoRAAdapterStatus(
        observed_generation=generation,
        conditions=conditions(
            known.status.conditions, summary, generation=generation, now=now, rolled_back=taken_back_finding(served)
        ),
        serving_version=served.version,
        traffic=served.traffic,
        loaded=served.loaded,
        asleep_since=known.status.asleep_since,
        canary=served.canary,
        versions=known.status.versions,
        history=served.history,
    )


def _answered(facts: Facts, adapter: LoRAAdapter, served: Serving) -> Finding | None:
    if served.version is None or name_conflict(facts, adapter):
        return None
    if sleeps(adapter):
        return Finding(Reason.SCALED_TO_ZERO, slumber(adapter))
    if not served.answers:
        return None
    name = version_name(adapter.served_name, served.version)
    pods = served.loaded.ready
    return Finding(Reason.SERVING, f"{name} answers on {pods} engine pod{'s' if pods != 1 else ''}")
