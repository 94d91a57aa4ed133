"""Which revisions of an endpoint took the traffic over, why, and what to write into the spec to have each again.

A record is made when another revision serves than the last record says, so it needs no memory beside the status: after
a crash between two writes it is made again, and in a steady state nothing changes. The last record follows the spec
for as long as the spec asks for that very revision: writing down what Auto chose, or selecting other adapters, makes
no new revision and shall not be undone by going back and forth.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tunefleet.api.inference_endpoint import (
    Accelerator,
    Adapters,
    Engine,
    InferenceEndpointSpec,
    LabelSelector,
    ModelReference,
    Parallelism,
    RevisionRecord,
)
from tunefleet.api.schema import Schema

from .canonical import canonical_json
from .revision import RevisionParameters

CREATED, CHANGED, ROLLED_BACK = "Created", "Changed", "RolledBack"
NOTHING_ELSE = "Nothing else answered"
UPGRADED = "The operator's defaults changed"
GREW = "Adapters needed more slots or a higher rank"
MOVED = "Adapters needed another volume, or nodes changed"

MAX_SPEC = 16384
"""Characters, as the schema of status.history[].spec says. Only hundreds of long extraArgs come near."""
MAX_CHANGES = 32
"""Lines, as the schema of status.history[].changes says."""
MAX_LINE = 256
"""Characters of a line."""


class RevisionSpec(Schema):
    """The part of an endpoint's spec that its revisions are made of."""

    model: ModelReference
    adapters: Adapters = Adapters()
    engine: Engine = Engine()
    parallelism: Parallelism = Parallelism()
    accelerator: Accelerator = Accelerator()

    @classmethod
    def of(cls, spec: InferenceEndpointSpec) -> "RevisionSpec":
        """Of an endpoint."""
        return cls.model_validate({name: getattr(spec, name) for name in cls.model_fields})

    @classmethod
    def recorded(cls, record: RevisionRecord) -> "RevisionSpec | None":
        """As it was remembered; None when it was too long, or when the API does not know it so any more."""
        try:
            return cls.model_validate_json(record.spec)
        except ValidationError:
            return None


@dataclass(frozen=True)
class Takeover:
    """The revision that answers from now on."""

    name: str
    parameters: RevisionParameters | None
    """None for one that another version of the operator made."""
    wanted: bool
    """The spec asks for it."""
    former: RevisionParameters | None
    """Of the revision that the last record names, while it stands."""


def history(
    records: Sequence[RevisionRecord], takeover: Takeover | None, spec: InferenceEndpointSpec, now: str
) -> tuple[RevisionRecord, ...]:
    """All records, latest last, no more than the spec's rollout.historyLimit and the one that serves."""
    found = tuple(records)
    if takeover is not None and (not found or found[-1].name != takeover.name):
        made = _record(found, takeover, spec, now)
        found = (*found, made) if made else found
    elif takeover is not None and takeover.wanted:
        found = (*found[:-1], _followed(found, RevisionSpec.of(spec)))
    return found[-(spec.rollout.history_limit + 1) :]


def differences(former: Mapping[str, Any], latest: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What differs between two JSON objects, a line each: `model.version: 1 -> 2`."""
    for name in dict.fromkeys((*former, *latest)):
        before, after = former.get(name), latest.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{path}{name}.")
        elif before != after:
            yield f"{path}{name}: {_shown(before)} -> {_shown(after)}"


def _record(
    records: tuple[RevisionRecord, ...], takeover: Takeover, spec: InferenceEndpointSpec, now: str
) -> RevisionRecord | None:
    """None when nobody can say any more what the revision was made from."""
    last = records[-1] if records else None
    asked = RevisionSpec.of(spec) if takeover.wanted else _asked_before(records, takeover)
    if asked is None:
        return None
    text = canonical_json(asked.dump())
    return RevisionRecord(
        name=takeover.name,
        time=now,
        from_name=last.name if last else None,
        cause=_cause(records, takeover, asked),
        changes=_changes(RevisionSpec.recorded(last) if last else None, asked, takeover),
        spec=text if len(text) <= MAX_SPEC else "",
    )


def _followed(records: tuple[RevisionRecord, ...], spec: RevisionSpec) -> RevisionRecord:
    """The last record with the spec as it is now."""
    last = records[-1]
    text = canonical_json(spec.dump())
    if RevisionSpec.recorded(last) == spec or len(text) > MAX_SPEC:
        return last
    before = RevisionSpec.recorded(records[-2]) if len(records) > 1 else None
    changes = _lines(differences(before.dump(), spec.dump())) if before else last.changes
    return last.model_copy(update={"spec": text, "changes": changes})


def _asked_before(records: Sequence[RevisionRecord], takeover: Takeover) -> RevisionSpec | None:
    """What made a revision that the spec does not ask for: as recorded, else as it runs."""
    for record in reversed(records):
        if record.name == takeover.name and (spec := RevisionSpec.recorded(record)) is not None:
            return spec
    return _as_it_runs(takeover.parameters) if takeover.parameters else None


def _as_it_runs(parameters: RevisionParameters) -> RevisionSpec:
    """With numbers where the spec may have said Auto."""
    fixed = parameters.fixed
    return RevisionSpec(
        model=ModelReference(name=fixed.base_model, version=fixed.base_version),
        adapters=Adapters(selector=LabelSelector(), max_rank=parameters.max_rank, slots=parameters.slots),
        engine=fixed.engine.model_copy(update={"image": fixed.image}),
        parallelism=Parallelism(tensor=parameters.tensor, pipeline=fixed.pipeline),
        accelerator=Accelerator(resource_name=fixed.resource_name, products=parameters.products),
    )


def _cause(records: Sequence[RevisionRecord], takeover: Takeover, asked: RevisionSpec) -> str:
    if not records:
        return CREATED
    if not takeover.wanted:
        return NOTHING_ELSE
    known = [RevisionSpec.recorded(record) for record in records]
    if asked == known[-1]:
        return _unasked(takeover)
    return ROLLED_BACK if asked in known else CHANGED


def _unasked(takeover: Takeover) -> str:
    """Another revision although the spec is the same."""
    before, after = takeover.former, takeover.parameters
    if before is None or after is None:
        return CHANGED
    if (before.fixed.image, before.fixed.pod_template) != (after.fixed.image, after.fixed.pod_template):
        return UPGRADED
    if before.fixed != after.fixed:
        return CHANGED
    return GREW if (before.slots, before.max_rank) != (after.slots, after.max_rank) else MOVED


def _changes(before: RevisionSpec | None, after: RevisionSpec, takeover: Takeover) -> tuple[str, ...]:
    """What the spec says differently, then what follows from elsewhere."""
    if before is None:
        return ()
    said = list(differences(before.dump(), after.dump()))
    return _lines([*said, *_planned_differences(takeover, " ".join(said))])


def _planned_differences(takeover: Takeover, said: str) -> Iterator[str]:
    """Where the spec says Auto, or leaves it to the operator."""
    if takeover.former is None or takeover.parameters is None:
        return
    former, latest = _planned(takeover.former), _planned(takeover.parameters)
    yield from (line for line in differences(former, latest) if f"{line.partition(':')[0]}:" not in said)


def _planned(parameters: RevisionParameters) -> dict[str, Any]:
    """Under the names that they have in the spec."""
    return {
        "engine": {"image": parameters.fixed.image},
        "adapters": {"slots": parameters.slots, "maxRank": parameters.max_rank},
        "parallelism": {"tensor": parameters.tensor},
        "placement": {"regions": list(parameters.fixed.regions)},
        "modelCache": {"claimName": parameters.fixed.model_cache},
    }


def _lines(lines: Iterator[str] | Sequence[str]) -> tuple[str, ...]:
    found = [line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…" for line in lines]
    if len(found) <= MAX_CHANGES:
        return tuple(found)
    return (*found[: MAX_CHANGES - 1], f"and {len(found) - MAX_CHANGES + 1} more")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else canonical_json(value)
