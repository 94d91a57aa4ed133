"""From what was read to what the status remembers: waiting, refused or accepted, the same for bases and adapters."""

from collections.abc import Callable
from typing import TypeVar

from tunefleet.api.common import MAX_MESSAGE, Version, VersionStatus
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult

from .finding import Finding
from .inspection import Reading
from .summary import Obstacle, failing, refused, working
from .versions import MENDABLE, reused, reused_message

Entry = TypeVar("Entry", bound=VersionStatus)

WORKING = frozenset({Reason.INSPECTING, Reason.WAITING_FOR_BASE})
"""Reasons of an entry that say no more than that its turn has not come."""

FAILING = frozenset(
    {
        Reason.JOB_FAILED,
        Reason.IMAGE_PULL_FAILED,
        Reason.CRASH_LOOP,
        Reason.OUT_OF_MEMORY,
        Reason.UNSCHEDULABLE,
    }
)
"""What keeps a Job from reading; tried again for ever."""


def judge(
    former: Entry | None,
    version: Version,
    reading: Reading,
    accept: Callable[[InspectionResult], Entry | Finding],
    blank: type[Entry],
) -> Entry:
    """The entry of one version. `accept` makes that of good files, or says what is wrong with them."""
    result = reading.result
    if result is None:
        return waiting(former, version, reading.waiting, blank)
    finding = _finding(former, version, result)
    if finding is None:
        verdict = accept(result)
        if not isinstance(verdict, Finding):
            return verdict
        finding = verdict
    if finding.reason in MENDABLE or result.transient:
        return waiting(former, version, finding, blank)
    return refusal(former, version, finding, blank, result.resolved_uri)


def waiting(former: Entry | None, version: Version, finding: Finding | None, blank: type[Entry]) -> Entry:
    """Not known yet. A cause once found stands until another outcome, or each retry would write the status twice."""
    if finding is None or (finding.reason is Reason.INSPECTING and _has_standing_cause(former)):
        finding = _finding_of(former)
    digest = former.digest if former else None
    if finding is None:
        return blank(version=version.version, digest=digest)
    return blank(version=version.version, digest=digest, reason=finding.reason, message=finding.message[:MAX_MESSAGE])


def refusal(
    former: Entry | None, version: Version, finding: Finding, blank: type[Entry], resolved_uri: str | None = None
) -> Entry:
    """Not to be served. The digest of bytes that were accepted under this number before is kept."""
    return blank(
        version=version.version,
        digest=former.digest if former else None,
        resolved_uri=resolved_uri or version.source.uri,
        accepted=False,
        reason=finding.reason,
        message=finding.message[:MAX_MESSAGE],
    )


def reuse_known(former: VersionStatus | None, version: Version) -> Finding | None:
    """The spec itself names a digest that the number did not have before: nothing has to be read."""
    if former is None or former.digest is None or version.digest is None or not reused(former, version.digest):
        return None
    return Finding(Reason.VERSION_REUSED, reused_message(version.version, former.digest, version.digest))


def obstacle_of(entry: VersionStatus) -> Obstacle | None:
    """What an entry means for the object that wants the version; None when it is accepted."""
    if entry.accepted:
        return None
    reason = Reason(entry.reason) if entry.reason else Reason.INSPECTING
    message = _of_version(entry.version, entry.message or "is being read")
    if reason in WORKING:
        return working(reason, message)
    return failing(Finding(reason, message)) if reason in FAILING else refused(reason, message)


def _of_version(number: int, message: str) -> str:
    """A condition speaks of the whole object, so it says which version is meant."""
    name = f"version {number}"
    return message if message.startswith(name) else f"{name}: {message}"


def _finding(former: VersionStatus | None, version: Version, result: InspectionResult) -> Finding | None:
    if result.reason is not None:
        return Finding(result.reason, result.message)
    if result.digest is None:
        return Finding(Reason.SOURCE_UNREADABLE, f"version {version.version} was read without a digest")
    if version.digest and version.digest != result.digest:
        return Finding(
            Reason.DIGEST_MISMATCH,
            f"version {version.version} shall be {version.digest} and is {result.digest}; "
            "put the right files there, or add a version with the digest of these",
        )
    if former is not None and former.digest is not None and reused(former, result.digest):
        return Finding(Reason.VERSION_REUSED, reused_message(version.version, former.digest, result.digest))
    return None


def _has_standing_cause(entry: VersionStatus | None) -> bool:
    """A former reading met something that only another reading can clear."""
    return entry is not None and entry.accepted is None and entry.reason in MENDABLE | FAILING


def _finding_of(entry: VersionStatus | None) -> Finding | None:
    if entry is None or entry.reason is None:
        return None
    return Finding(Reason(entry.reason), entry.message or "")
