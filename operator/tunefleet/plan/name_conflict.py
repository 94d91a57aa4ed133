"""Two objects that ask for one served name: the older keeps it, the younger says so."""

from tunefleet.api.conditions import Reason

from .facts import Facts
from .served_names import Served, seniority
from .summary import Obstacle, refused


def name_conflict(facts: Facts, obj: Served) -> Obstacle | None:
    """The served name is another object's."""
    owner = facts.name_owners[obj.served_name]
    if seniority(owner) == seniority(obj):
        return None
    kind, meta = type(owner).__name__, owner.metadata
    return refused(
        Reason.NAME_CONFLICT,
        f"{kind} {meta.namespace}/{meta.name} is older and already serves the name {obj.served_name}; "
        "set another spec.servedModelName",
    )
