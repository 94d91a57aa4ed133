"""Whose a served name is."""

import itertools

from tests.plan.fleet import base_model, lora_adapter
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.served_names import owners


def aged(name: str, created: str, namespace: str = "ml", served: str = "chat") -> LoRAAdapter:
    adapter = lora_adapter(name, servedModelName=served)
    meta = adapter.metadata.model_copy(update={"creation_timestamp": created, "namespace": namespace})
    return adapter.model_copy(update={"metadata": meta})


def test_the_oldest_owns_the_name_whatever_the_order() -> None:
    old, middle, young = (aged(name, f"2026-01-0{day}T00:00:00Z") for name, day in (("z", 1), ("a", 2), ("b", 3)))
    for order in itertools.permutations((old, middle, young)):
        assert owners(order)["chat"] is old


def test_equal_ages_go_by_namespace_and_name() -> None:
    one, other = aged("b", "2026-01-01T00:00:00Z", "a"), aged("a", "2026-01-01T00:00:00Z", "b")
    assert owners([other, one])["chat"] is one


def test_bases_and_adapters_share_one_space_of_names() -> None:
    base = base_model(servedModelName="chat")
    adapter = aged("x", "2027-01-01T00:00:00Z")
    assert owners([adapter, base]) == {"chat": base}


def test_the_objects_name_is_the_default() -> None:
    assert set(owners([base_model("tiny"), lora_adapter("german")])) == {"tiny", "german"}
