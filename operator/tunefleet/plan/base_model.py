"""BaseModel: read every version once, accept or refuse it, and say how it stands.

A base spends no accelerators: what is decided here are Jobs that read files, and the status.
"""

from collections.abc import Iterable
from datetime import datetime

from tunefleet.api.base_model import BaseModel, BaseModelStatus, BaseModelVersionStatus
from tunefleet.api.common import Version
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult

from .decision import Decision, Owner
from .facts import Facts, Key, ObjectRef
from .finding import Finding
from .inspection import Agents, Reading, Subject, read_version
from .judgement import judge, obstacle_of, refusal, reuse_known
from .name_conflict import name_conflict
from .outcome import condition_events, status_patches
from .readings import combined
from .summary import Obstacle, conditions, summarize
from .versions import entry_of, merged, remembered, settled

KIND = "BaseModel"


def decide(facts: Facts, key: Key, now: datetime) -> Decision:
    """What to do about one BaseModel."""
    base = facts.base_models.get(key)
    if base is None or base.metadata.deletion_timestamp:
        return Decision()
    judged = [_version(facts, base, version, now) for version in base.spec.versions]
    status = _status(facts, base, [entry for entry, _ in judged], now)
    ref = ObjectRef(KIND, *key)
    return combined(
        [(_subject(base, entry.version), reading) for entry, reading in judged],
        statuses=status_patches(ref, base.status, status),
        events=condition_events(ref, base.metadata, base.status, status),
    )


def _version(facts: Facts, base: BaseModel, version: Version, now: datetime) -> tuple[BaseModelVersionStatus, Reading]:
    former = entry_of(base.status.versions, version.version)
    if former is not None and settled(former, version):
        return former, Reading()
    if reuse := reuse_known(former, version):
        return refusal(former, version, reuse, BaseModelVersionStatus), Reading()
    reading = read_version(facts, _subject(base, version.version), Agents(), now)
    entry = judge(former, version, reading, lambda result: _accepted(version, result), BaseModelVersionStatus)
    return entry, reading


def _accepted(version: Version, result: InspectionResult) -> BaseModelVersionStatus | Finding:
    if result.architecture is None:
        return Finding(Reason.CONFIG_INVALID, f"version {version.version} has no config.json that could be read")
    return BaseModelVersionStatus(
        version=version.version,
        digest=result.digest,
        resolved_uri=result.resolved_uri or version.source.uri,
        size_bytes=result.size_bytes,
        accepted=True,
        lineage=result.lineage,
        architecture=result.architecture,
    )


def _subject(base: BaseModel, number: int) -> Subject:
    version = next(v for v in base.spec.versions if v.version == number)
    secret = version.source.secret_ref
    return Subject(
        owner=Owner(ObjectRef(KIND, base.metadata.namespace, base.metadata.name), base.metadata.uid),
        kind="base",
        version=number,
        uri=version.source.uri,
        digest=version.digest,
        secret_name=secret.name if secret else None,
    )


def _status(facts: Facts, base: BaseModel, entries: list[BaseModelVersionStatus], now: datetime) -> BaseModelStatus:
    listed = [v.version for v in base.spec.versions]
    summary = summarize(_obstacle(facts, base, entries), _answered(facts, base, entries))
    return BaseModelStatus(
        observed_generation=base.metadata.generation,
        conditions=conditions(base.status.conditions, summary, generation=base.metadata.generation, now=now),
        versions=merged(entries, remembered(base.status.versions, listed, kept=())),
    )


def _obstacle(facts: Facts, base: BaseModel, entries: Iterable[BaseModelVersionStatus]) -> Obstacle | None:
    """A refused version that a later one has replaced is history, not an obstacle."""
    if conflict := name_conflict(facts, base):
        return conflict
    latest_first = sorted(entries, key=lambda e: e.version, reverse=True)
    unread = next((e for e in latest_first if e.accepted is None), None)
    return obstacle_of(unread or latest_first[0])


def _answered(facts: Facts, base: BaseModel, entries: Iterable[BaseModelVersionStatus]) -> Finding | None:
    accepted = sorted(e.version for e in entries if e.accepted)
    if not accepted or name_conflict(facts, base):
        return None
    numbers = ", ".join(map(str, accepted))
    return Finding(Reason.ACCEPTED, f"accepted: version{'s' if len(accepted) > 1 else ''} {numbers}")
