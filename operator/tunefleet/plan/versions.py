"""The memory of versions in a status: which were read, which are refused, which numbers are taken.

One rule holds everywhere: an entry's `digest` is that of *accepted* bytes. It outlives the version's removal from the
spec, so that the number is never used again for other bytes; what was found otherwise stands in the message.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

from tunefleet.api.common import MAX_VERSIONS, Version, VersionStatus
from tunefleet.api.conditions import Reason
from tunefleet.api.sources import Scheme, parse_source

Entry = TypeVar("Entry", bound=VersionStatus)

MENDABLE = frozenset(
    {
        Reason.SOURCE_NOT_FOUND,
        Reason.SOURCE_UNREADABLE,
        Reason.ACCESS_DENIED,
        Reason.SECRET_NOT_FOUND,
        Reason.FETCH_FAILED,
        Reason.DISK_FULL,
    }
)
"""Somebody can mend these outside the object (upload, grant, create), so reading is tried again for ever."""

MAX_REMEMBERED = 4 * MAX_VERSIONS
"""Entries of a status, as its schema says."""


def entry_of(entries: Iterable[Entry], version: int) -> Entry | None:
    """The entry of a version."""
    return next((e for e in entries if e.version == version), None)


def settled(entry: VersionStatus | None, version: Version) -> bool:
    """The version was judged for good, and the entry speaks of the bytes that the spec names now."""
    if entry is None or entry.accepted is None or not _same_bytes(entry, version):
        return False
    return not (entry.reason == Reason.VERSION_REUSED and version.digest is not None)


def reused(entry: VersionStatus | None, digest: str | None) -> bool:
    """The number stood for other bytes before."""
    return entry is not None and entry.digest is not None and digest is not None and entry.digest != digest


def reused_message(version: int, former: str, found: str) -> str:
    """What to do about a number that was used before."""
    return (
        f"version {version} was {former} before and is {found} now; "
        f"give the new bytes a number that was never used, and name the former digest to get version {version} back"
    )


def remembered(entries: Sequence[Entry], listed: Iterable[int], kept: Iterable[int]) -> tuple[Entry, ...]:
    """Entries of versions that left the spec: reduced to number and digest, except those `kept` whole."""
    in_spec, whole = set(listed), set(kept)
    gone = [e for e in entries if e.version not in in_spec and e.digest is not None]
    return tuple(e if e.version in whole else _reduced(e) for e in gone)


def merged(current: Iterable[Entry], former: Iterable[Entry]) -> tuple[Entry, ...]:
    """All entries by number; past the limit the lowest removed numbers are forgotten first."""
    listed, gone = list(current), sorted(former, key=lambda e: e.version)
    room = MAX_REMEMBERED - len(listed)
    return tuple(sorted(listed + gone[len(gone) - min(room, len(gone)) :], key=lambda e: e.version))


@lru_cache(maxsize=1 << 14)
def claim_of(uri: str) -> str | None:
    """The PersistentVolumeClaim that has to be mounted to read this URI."""
    source = parse_source(uri)
    return source.place if source.scheme is Scheme.PVC else None


def _same_bytes(entry: VersionStatus, version: Version) -> bool:
    """As far as spec and status can tell; the agents check every byte again before an engine sees them."""
    if version.digest and entry.digest and version.digest != entry.digest:
        return False
    return entry.resolved_uri is None or _resolved(version.source.uri, entry.resolved_uri)


@lru_cache(maxsize=1 << 14)
def _resolved(asked: str, resolved: str) -> bool:
    return parse_source(asked).may_be(parse_source(resolved))


def _reduced(entry: Entry) -> Entry:
    return type(entry)(version=entry.version, digest=entry.digest)
