"""Which object a served name belongs to: the gateway has one space of names for the whole fleet."""

from collections.abc import Iterable
from typing import NamedTuple

from tunefleet.api.base_model import BaseModel
from tunefleet.api.lora_adapter import LoRAAdapter

Served = BaseModel | LoRAAdapter


class Seniority(NamedTuple):
    """Sorts the oldest first; equal ages by namespace, name and kind, so that every process agrees."""

    created: str
    namespace: str
    name: str
    kind: str


def seniority(obj: Served) -> Seniority:
    """RFC 3339 times of the API server sort as text: all are UTC with whole seconds."""
    meta = obj.metadata
    return Seniority(meta.creation_timestamp, meta.namespace, meta.name, type(obj).__name__)


def owners(objects: Iterable[Served]) -> dict[str, Served]:
    """By served name: the oldest object that asks for it. A younger one gets the name when the older is gone."""
    found: dict[str, Served] = {}
    for obj in sorted(objects, key=seniority):
        found.setdefault(obj.served_name, obj)
    return found
