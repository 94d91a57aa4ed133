"""The one door for whoever reconciles: an object's reference in, a Plan out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from tunefleet.plan import base_model, inference_endpoint, lora_adapter
from tunefleet.plan.decision import Child, Decision
from tunefleet.plan.facts import Facts, Key, ObjectRef
from tunefleet.plan.observed import controller_uid
from tunefleet.plan.plan import Plan

from .children import manifests
from .drift import differs, sealed
from .metadata import Json
from .pod_template import pod_template

DECIDERS: dict[str, Callable[[Facts, Key, datetime], Decision]] = {
    base_model.KIND: base_model.decide,
    lora_adapter.KIND: lora_adapter.decide,
    inference_endpoint.KIND: inference_endpoint.decide,
}

CLASH_SECONDS = 2.0
"""An object of the same name that belongs to a deleted owner is about to be collected; look again after this."""


def decide(facts: Facts, ref: ObjectRef, now: datetime) -> Plan:
    """What to do about one object of the three kinds. Raises KeyError for any other kind."""
    facts = replace(facts, settings=replace(facts.settings, pod_template=pod_template()))
    decision = DECIDERS[ref.kind](facts, Key(ref.namespace, ref.name), now)
    changes = [change for child in decision.children for change in _changes(facts, child)]
    clashing = any(manifest is None for manifest, _ in changes)
    times = [t for t in (decision.requeue_after, CLASH_SECONDS if clashing else None) if t is not None]
    return Plan(
        delete=decision.delete,
        apply=tuple(manifest for manifest, _ in changes if manifest is not None),
        assignments=decision.assignments,
        inspections=decision.inspections,
        statuses=decision.statuses,
        events=decision.events,
        requeue_after=min(times, default=None),
        why=(*decision.why, *(sentence for _, sentence in changes)),
    )


def _changes(facts: Facts, child: Child) -> Iterator[tuple[Json | None, str]]:
    """Manifests that have to be written, each with why; None for one whose name another owner's object still has."""
    for manifest in manifests(child):
        wanted = sealed(manifest)
        name = wanted["metadata"]["name"]
        ref = ObjectRef(wanted["kind"], wanted["metadata"]["namespace"], name)
        observed = facts.children.get(ref)
        if observed is not None and controller_uid(observed) != child.owner.uid:
            yield None, f"{ref.kind} {name} belongs to another owner; waiting for it to go"
        elif (where := differs(wanted, observed)) is not None:
            yield wanted, f"{ref.kind} {name}: {where}"
