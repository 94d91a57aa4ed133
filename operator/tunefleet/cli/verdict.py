"""What `tunefleet inspect` found: facts, and what each check of the gate says. Pure."""

from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import AdapterFacts, InspectionResult
from tunefleet.api.schema import Schema
from tunefleet.plan.candidate import Limits
from tunefleet.plan.gate import verdicts

from .table import table


class Check(Schema):
    """One check of the gate."""

    check: str
    """Its name."""
    passed: bool
    reason: Reason | None = None
    """The word that status would have, where it did not pass."""
    message: str = ""
    """What is wrong, and what to do about it."""


class Verdict(Schema):
    """The whole answer."""

    place: str
    """Path or URI, as it was given."""
    resolved_uri: str | None = None
    digest: str | None = None
    """What spec.versions[].digest may say."""
    size_bytes: int | None = None
    adapter: AdapterFacts | None = None
    """Absent when its files could not be read."""
    with_base: bool
    """Whether a base was given, and its checks made."""
    checks: tuple[Check, ...]
    accepted: bool
    """Every check that was made has passed."""


def judged(place: str, result: InspectionResult, base: Architecture | None, max_rank: int) -> Verdict:
    """All checks, not only those before the first that refuses: an author mends everything at once."""
    checks = tuple(_checks(result, base, max_rank))
    return Verdict(
        place=place,
        resolved_uri=result.resolved_uri,
        digest=result.digest,
        size_bytes=result.size_bytes,
        adapter=result.adapter,
        with_base=base is not None,
        checks=checks,
        accepted=all(check.passed for check in checks),
    )


def _checks(result: InspectionResult, base: Architecture | None, max_rank: int) -> list[Check]:
    if result.reason is not None or result.adapter is None:
        return [Check(check="files_are_readable", passed=False, reason=result.reason, message=result.message)]
    found = [
        Check(check=v.check, passed=False, reason=v.finding.reason, message=v.finding.message)
        if v.finding
        else Check(check=v.check, passed=True)
        for v in verdicts(result.adapter, base, Limits(max_rank))
    ]
    return [Check(check="files_are_readable", passed=True), *found]


def as_text(verdict: Verdict) -> str:
    """For people."""
    lines = [*_facts(verdict), "", *_table(verdict), "", _summary(verdict)]
    return "\n".join(lines).strip()


def _facts(verdict: Verdict) -> list[str]:
    if (facts := verdict.adapter) is None:
        return [f"Adapter    {verdict.place}"]
    modules = [f"           {path}  {inputs} -> {outputs}" for path, (inputs, outputs) in sorted(facts.modules.items())]
    return [
        f"Adapter    {verdict.resolved_uri or verdict.place}",
        f"Digest     {verdict.digest}",
        f"Size       {_size(verdict.size_bytes or 0)}, {facts.tensors} tensors",
        f"Rank       {', '.join(map(str, facts.ranks)) or 'none'} (an engine needs max rank {facts.rank} or more)",
        f"Layers     {facts.layers}",
        f"Base       {facts.base_model_name or 'not named'} (the author's name for it, which decides nothing)",
        "Modules" + (modules[0][7:] if modules else "    none"),
        *modules[1:],
    ]


def _table(verdict: Verdict) -> list[str]:
    rows = [
        (check.check.replace("_", " "), "passed" if check.passed else str(check.reason)) for check in verdict.checks
    ]
    refused = [f"{check.reason}: {check.message}" for check in verdict.checks if not check.passed]
    return [table(("check", "verdict"), rows), *(("", *refused) if refused else ())]


def _summary(verdict: Verdict) -> str:
    scope = "" if verdict.with_base else " Nothing was checked against a base: name one by --base."
    return ("It may be loaded." if verdict.accepted else "It is refused.") + scope


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
