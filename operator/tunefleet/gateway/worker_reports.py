"""What several workers say, as one gateway says it. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import zip_longest
from typing import Any

from tunefleet.plan.demand import AdapterDemand, DemandReport, Trial, VersionSample

Json = dict[str, Any]

_FAMILY = re.compile(r"# (?:HELP|TYPE) (\S+)")
_SAMPLE = re.compile(r"(?P<name>[^{ ]+)(?:\{(?P<labels>.*)\})? (?P<value>[^ ]+(?: [0-9]+)?)")


def merge_metrics(texts: Mapping[str, str]) -> str:
    """One exposition of those of all workers: each series with a label `worker`, each family once.

    Nothing is added up: counters of a worker that was started anew begin at zero, and only a label shows that to
    Prometheus.
    """
    comments: dict[str, list[str]] = {}
    series: dict[str, list[str]] = {}
    for worker, text in texts.items():
        family, known = "", frozenset(comments)
        for line in text.splitlines():
            match = _FAMILY.match(line)
            if match is not None:
                family = match[1]
                series.setdefault(family, [])
                if family not in known:
                    comments.setdefault(family, []).append(line)
            elif line and not line.startswith("#"):
                series[family].append(_labelled(line, worker))
    return "".join(f"{line}\n" for family in comments for line in (*comments[family], *series[family]))


def _labelled(line: str, worker: str) -> str:
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} is no sample")
    labels = f'worker="{worker}"' + (f",{match['labels']}" if match["labels"] else "")
    return f"{match['name']}{{{labels}}} {match['value']}"


def merge_demand(reports: Sequence[DemandReport], etag: str, since: str) -> DemandReport:
    """Sums. `since`: what is not listed was not asked for since then, in any worker."""
    adapters: dict[tuple[str, str], AdapterDemand] = {}
    trials: dict[tuple[str, str, str], list[VersionSample]] = {}
    for report in reports:
        for demand in report.adapters:
            key = demand.namespace, demand.name
            adapters[key] = _together(adapters[key], demand) if key in adapters else demand
        for trial in report.trials:
            trials.setdefault((trial.namespace, trial.name, trial.since), []).extend(trial.versions)
    return DemandReport(
        etag=etag,
        since=max((since, *(report.since for report in reports))),
        adapters=tuple(adapters[key] for key in sorted(adapters)),
        trials=tuple(
            Trial(namespace=key[0], name=key[1], since=key[2], versions=_by_version(trials[key]))
            for key in sorted(trials)
        ),
    )


def without_load(report: DemandReport) -> DemandReport:
    """Of a process that has ended: who was asked for and when, and how canaries did; nothing runs or waits there."""
    nothing = {"waiting": 0, "in_flight": 0, "requests_per_minute": 0.0}
    return report.model_copy(update={"adapters": tuple(one.model_copy(update=nothing) for one in report.adapters)})


def _together(one: AdapterDemand, other: AdapterDemand) -> AdapterDemand:
    return one.model_copy(
        update={
            "waiting": one.waiting + other.waiting,
            "in_flight": one.in_flight + other.in_flight,
            "last_asked": max(one.last_asked, other.last_asked),
            "requests_per_minute": round(one.requests_per_minute + other.requests_per_minute, 1),
        }
    )


def _by_version(samples: Iterable[VersionSample]) -> tuple[VersionSample, ...]:
    found: dict[str, VersionSample] = {}
    for sample in samples:
        known = found.get(sample.engine_name)
        found[sample.engine_name] = sample if known is None else _added(known, sample)
    return tuple(found[name] for name in sorted(found))


def _added(one: VersionSample, other: VersionSample) -> VersionSample:
    buckets = zip_longest(one.first_token, other.first_token, fillvalue=0)
    return VersionSample(
        engine_name=one.engine_name,
        requests=one.requests + other.requests,
        errors=one.errors + other.errors,
        first_token=tuple(a + b for a, b in buckets),
    )


def merge_tables(tables: Sequence[Json]) -> Json:
    """The first worker's table, as all have the same but for moments; with the requests in flight of all."""
    merged = deepcopy(tables[0])
    for label, pod in merged["pods"].items():
        pod["inFlight"] = sum(table["pods"].get(label, {}).get("inFlight", 0) for table in tables)
    return merged
