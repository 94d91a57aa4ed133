"""Names of the language model's modules where a base has towers."""

import pytest

from tests.plan.test_gate import BASE, facts
from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.plan.gate import check_adapter

Q, TOWER = "layers.*.self_attn.q_proj", "vision_tower.blocks.*.attn.q_proj"


def base(language_model: str, head: str = "lm_head", tower: str = TOWER) -> Architecture:
    modules = {f"{language_model}{Q}": (128, 128), head: (128, 1024), tower: (128, 128)}
    return BASE.model_copy(update={"modules": modules, "class_name": "Gemma3ForConditionalGeneration"})


def verdict(of: Architecture, *modules: str) -> Reason | None:
    finding = check_adapter(facts(modules=dict.fromkeys(modules, (128, 128))), of)
    return finding.reason if finding else None


@pytest.mark.parametrize("named", ["language_model.model.", "model.language_model."])
@pytest.mark.parametrize("trained", ["language_model.model.", "model.language_model."])
def test_both_names_of_a_language_model_beside_a_tower_are_one(named: str, trained: str) -> None:
    assert verdict(base(named), trained + Q) is None


def test_a_third_name_counts_only_where_the_weights_have_it() -> None:
    assert verdict(base("model.", tower="visual.blocks.*.attn.qkv"), f"model.language_model.{Q}") is None
    assert verdict(base("model.", tower="visual.blocks.*.attn.qkv"), f"model.{Q}") is None
    assert verdict(base("language_model.model."), f"model.{Q}") == Reason.WRONG_BASE


def test_without_a_tower_no_other_name_counts() -> None:
    assert verdict(base("model.", tower="model.embed_tokens"), f"model.language_model.{Q}") == Reason.WRONG_BASE


def test_the_tower_itself_is_not_adapted() -> None:
    assert verdict(base("model.language_model."), f"model.language_model.{Q}", TOWER) == Reason.MODULE_UNSUPPORTED
    assert verdict(base("model.language_model."), TOWER) == Reason.MODULE_UNSUPPORTED


def test_shapes_are_compared_under_the_other_name_too() -> None:
    adapter = facts(modules={f"model.language_model.{Q}": (256, 256)})
    finding = check_adapter(adapter, base("language_model.model."))
    assert finding is not None
    assert "256 x 256" in finding.message
