"""What engines measured of an adapter's versions: the first figures of each kind of engine are kept for later ones.

Figures measured at a later load are not written anywhere: the agent holds them against the recorded ones, and the
status stays as it is.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from tunefleet.api.lora_adapter import MAX_FINGERPRINTS, Fingerprint, LoRAAdapter, LoRAAdapterVersionStatus
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, DesiredAdapter

from .facts import Facts
from .holdings import holdings
from .versions import entry_of


def with_fingerprints(facts: Facts, adapter: LoRAAdapter, now: datetime) -> LoRAAdapter:
    """The adapter, its entries completed by what its engines have reported."""
    reports = _reports(facts, adapter.metadata.namespace)
    found: dict[int, LoRAAdapterVersionStatus] = {}
    for holding in holdings(adapter, now):
        entry = found.get(holding.version) or entry_of(adapter.status.versions, holding.version)
        if entry is not None:
            found[holding.version] = _completed(entry, holding.desired, reports)
    versions = tuple(found.get(entry.version, entry) for entry in adapter.status.versions)
    return adapter.model_copy(update={"status": adapter.status.model_copy(update={"versions": versions})})


def uncompared(report: AdaptersReport, wanted: Iterable[DesiredAdapter]) -> bool:
    """An engine answers with figures that its agent could not hold against those that are recorded by now."""
    kind = report.engine.kind
    recorded = {d.engine_name for d in wanted if any(f.engine == kind for f in d.fingerprints)}
    return any(a.engine_name in recorded and not a.compared for a in report.adapters if _measured(a, kind))


def _completed(
    entry: LoRAAdapterVersionStatus, desired: DesiredAdapter, reports: tuple[AdaptersReport, ...]
) -> LoRAAdapterVersionStatus:
    known = {fingerprint.engine for fingerprint in entry.fingerprints}
    lacking = (report for report in reports if report.engine.kind not in known)
    first = {figures.engine: figures for figures in reversed(list(_figures(lacking, desired)))}
    if not first:
        return entry
    alive = {report.engine.kind for report in reports}
    kept = _bounded((*entry.fingerprints, *(first[kind] for kind in sorted(first))), alive)
    return entry.model_copy(update={"fingerprints": kept})


def _figures(reports: Iterable[AdaptersReport], desired: DesiredAdapter) -> Iterator[Fingerprint]:
    for report in reports:
        for adapter in report.adapters:
            same = (adapter.engine_name, adapter.digest) == (desired.engine_name, desired.digest)
            if same and _measured(adapter, report.engine.kind) and adapter.fingerprint is not None:
                yield adapter.fingerprint


def _measured(adapter: AdapterReport, kind: str) -> bool:
    return (
        adapter.state is AdapterState.LOADED and adapter.fingerprint is not None and adapter.fingerprint.engine == kind
    )


def _bounded(fingerprints: tuple[Fingerprint, ...], alive: set[str]) -> tuple[Fingerprint, ...]:
    """Past the limit those of engines that are gone go first, oldest first. Where so many kinds run at once, the latest
    are not recorded: they would be dropped and found again for ever."""
    gone = [fingerprint for fingerprint in fingerprints if fingerprint.engine not in alive]
    dropped = {id(fingerprint) for fingerprint in gone[: max(0, len(fingerprints) - MAX_FINGERPRINTS)]}
    return tuple(fingerprint for fingerprint in fingerprints if id(fingerprint) not in dropped)[:MAX_FINGERPRINTS]


def _reports(facts: Facts, namespace: str) -> tuple[AdaptersReport, ...]:
    """Of the engines that have answered, by pod."""
    keys = facts.pods_by_namespace.get(namespace, ())
    found = (facts.reports.get(key) for key in keys)
    return tuple(report for report in found if report is not None and report.engine.kind)
