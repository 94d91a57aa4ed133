"""An answer for each object, and none for one that is gone."""

from tests.plan.fleet import lora_adapter
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.per_object import per_object


def test_each_object_is_asked_about_once_also_when_it_equals_another() -> None:
    seen: list[str] = []

    @per_object
    def name(adapter: LoRAAdapter) -> str:
        seen.append(adapter.metadata.name)
        return adapter.metadata.name

    one, equal, other = lora_adapter("a"), lora_adapter("a"), lora_adapter("b")
    assert [name(x) for x in (one, equal, other, one, equal, other)] == ["a", "a", "b"] * 2
    assert seen == ["a", "a", "b"]


def test_objects_that_come_and_go_never_get_each_other_s_answer() -> None:
    @per_object
    def name(adapter: LoRAAdapter) -> str:
        return adapter.metadata.name

    for number in range(500):
        assert name(lora_adapter(f"a{number}")) == f"a{number}"
