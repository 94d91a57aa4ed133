"""The gate: every check refuses what it is for, in words that help, and passes what is good."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import AdapterFacts
from tunefleet.plan.candidate import Limits
from tunefleet.plan.gate import AFTER_BASE, AGAINST_BASE, BEFORE_BASE, check_adapter, verdicts

Q, V = "model.layers.*.self_attn.q_proj", "model.layers.*.self_attn.v_proj"
GOOD = AdapterFacts(
    rank=8,
    ranks=(8,),
    configured_rank=8,
    target_modules=("q_proj", "v_proj"),
    modules={Q: (128, 128), V: (128, 64)},
    layers=4,
    every_layer=True,
    base_model_name="tiny",
    largest=1.0,
    tensors=16,
)
BASE = Architecture(
    model_type="llama",
    class_name="LlamaForCausalLM",
    parameters=1,
    weight_bytes=1,
    layers=4,
    hidden_size=128,
    intermediate_size=256,
    attention_heads=4,
    kv_heads=2,
    head_dim=32,
    vocab_size=1024,
    max_positions=2048,
    dtype="bfloat16",
    modules={Q: (128, 128), V: (128, 64), "lm_head": (128, 1024)},
)

BROKEN: list[tuple[dict[str, Any], Reason, str]] = [
    ({"features": ("dora",)}, Reason.FEATURE_UNSUPPORTED, "dora"),
    ({"features": ("bias:all",)}, Reason.FEATURE_UNSUPPORTED, "bias:all"),
    ({"features": ("modules_to_save:lm_head",)}, Reason.FEATURE_UNSUPPORTED, "modules_to_save"),
    ({"unexpected_tensors": ("x.lora_magnitude_vector",)}, Reason.WEIGHTS_INVALID, "x.lora_magnitude_vector"),
    ({"rank": 0, "ranks": (), "modules": {}, "tensors": 0}, Reason.WEIGHTS_INVALID, "no LoRA tensor"),
    (
        {"rank": 16, "ranks": (16,), "rank_mismatches": ("a.q_proj",)},
        Reason.RANK_MISMATCH,
        "r=8 and the tensors have rank 16",
    ),
    ({"modules": {Q: (256, 256)}}, Reason.WRONG_BASE, "256 x 256 in the adapter and 128 x 128 in the base"),
    ({"mixed_modules": (Q,)}, Reason.WRONG_BASE, "different sizes"),
    ({"modules": {"transformer.h.*.attn.c_attn": (8, 8)}}, Reason.WRONG_BASE, "none of these"),
    ({"modules": {"layers.*.self_attn.q_proj": (128, 128)}}, Reason.WRONG_BASE, "none of these"),
    ({"layers": 8}, Reason.WRONG_BASE, "8 layers and the base has 4"),
    ({"modules": {Q: (128, 128), "nowhere": (1, 1)}}, Reason.MODULE_UNSUPPORTED, "nowhere"),
    ({"unmatched_targets": ("k_proj",)}, Reason.MODULE_UNSUPPORTED, "k_proj"),
    ({"layers": 2}, Reason.WRONG_BASE, "first 2 layers and the base has 4"),
    ({"missing_in_layers": (f"{V} in layer 2",)}, Reason.WEIGHTS_INVALID, "in layer 2; some were lost"),
    ({"modules": {Q: (128, 128), "model.visual.blocks.*.attn.qkv": (8, 8)}}, Reason.MODULE_UNSUPPORTED, "visual"),
    ({"modules": {"model.vision_tower.blocks.*.attn.qkv": (8, 8)}}, Reason.MODULE_UNSUPPORTED, "vision_tower"),
    ({"vocabulary": 1026}, Reason.WRONG_BASE, "vocabulary of 1026 tokens and the base has 1024"),
    ({"experts": 8}, Reason.WRONG_BASE, "8 experts and the base has None"),
    ({"rank": 32, "ranks": (32,), "configured_rank": 32}, Reason.RANK_TOO_HIGH, "rank 32 and at most 16 fits"),
    ({"non_finite": ("q.lora_A.weight",)}, Reason.NOT_FINITE, "q.lora_A.weight"),
    ({"largest": 3.395e38}, Reason.NOT_FINITE, "infinite in bfloat16"),
]


def facts(**changes: Any) -> AdapterFacts:
    return GOOD.model_copy(update=changes)


def test_a_good_adapter_passes() -> None:
    assert check_adapter(GOOD, BASE, Limits(16)) is None


@pytest.mark.parametrize(("changes", "reason", "words"), BROKEN, ids=[words for _, _, words in BROKEN])
def test_every_fault_has_its_reason_and_a_sentence(changes: dict[str, Any], reason: Reason, words: str) -> None:
    finding = check_adapter(facts(**changes), BASE, Limits(16))
    assert finding is not None
    assert finding.reason == reason
    assert words in finding.message
    assert finding.message.endswith(".")


def first_refusal(adapter: AdapterFacts, base: Architecture = BASE) -> str:
    return next(v.check for v in verdicts(adapter, base, Limits(16)) if v.finding is not None)


def test_every_check_is_the_first_to_refuse_something() -> None:
    first = {first_refusal(facts(**changes)) for changes, _, _ in BROKEN}
    first.add(first_refusal(GOOD, BASE.model_copy(update={"class_name": "GPT2LMHeadModel"})))
    assert first == {check.__name__ for check in (*BEFORE_BASE, *AGAINST_BASE, *AFTER_BASE)}


def test_without_a_base_only_the_checks_that_need_none_are_made() -> None:
    made = [verdict.check for verdict in verdicts(GOOD, None)]
    assert made == [check.__name__ for check in (*BEFORE_BASE, *AFTER_BASE)]
    assert all(verdict.finding is None for verdict in verdicts(GOOD, None))


MIXTURE = BASE.model_copy(
    update={
        "class_name": "Qwen3MoeForCausalLM",
        "experts": 4,
        "modules": {Q: (128, 128)} | {f"model.layers.*.mlp.experts.*.{p}": (8, 8) for p in ("gate", "up", "down")},
    }
)
EXPERTS = {module: shape for module, shape in MIXTURE.modules.items() if ".experts." in module}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"experts": 4}, None),
        ({"experts": 5}, Reason.WRONG_BASE),
        ({"experts": 3}, Reason.MODULE_UNSUPPORTED),
        ({"experts": 4, "incomplete_experts": ("model.layers.0.mlp",)}, Reason.MODULE_UNSUPPORTED),
        ({"experts": 4, "modules": dict(list(EXPERTS.items())[:2])}, Reason.MODULE_UNSUPPORTED),
        ({"experts": 0, "modules": {Q: (128, 128)}}, None),
    ],
)
def test_experts_are_adapted_whole_or_not_at_all(changes: dict[str, Any], reason: Reason | None) -> None:
    finding = check_adapter(facts(**{"modules": EXPERTS, **changes}), MIXTURE)
    assert (finding and finding.reason) == reason


@pytest.mark.parametrize("module", ["lm_head", "model.embed_tokens"])
def test_embeddings_are_adapted_where_the_engine_can(module: str) -> None:
    adapter = facts(modules={module: (128, 1024)}, layers=0)
    base = BASE.model_copy(update={"modules": {**BASE.modules, module: (128, 1024)}})
    assert check_adapter(adapter, base) is None
    finding = check_adapter(adapter, base.model_copy(update={"class_name": "MistralForCausalLM"}))
    assert finding is not None
    assert finding.reason == Reason.MODULE_UNSUPPORTED
    assert "MistralForCausalLM" in finding.message


def test_layers_may_differ_by_design_in_other_architectures_and_where_the_configuration_says_so() -> None:
    few = facts(layers=2, missing_in_layers=(f"{V} in layer 0",))
    assert check_adapter(few, BASE.model_copy(update={"class_name": "JambaForCausalLM"})) is None
    assert check_adapter(facts(layers=2, every_layer=False), BASE) is None


def test_an_architecture_without_adapters_is_refused_whatever_the_adapter_is() -> None:
    finding = check_adapter(GOOD, BASE.model_copy(update={"class_name": "GPT2LMHeadModel"}))
    assert finding is not None
    assert finding.reason == Reason.ARCHITECTURE_UNSUPPORTED


@pytest.mark.parametrize("name", ["someone/else", "/content/drive/x", None])
def test_the_name_of_the_base_decides_nothing(name: str | None) -> None:
    assert check_adapter(facts(base_model_name=name), BASE) is None


def test_the_name_of_the_base_is_mentioned_where_the_shapes_disagree() -> None:
    finding = check_adapter(facts(modules={Q: (256, 256)}, base_model_name="org/bigger"), BASE)
    assert finding is not None
    assert "org/bigger" in finding.message


def test_an_adapter_of_the_output_head_alone() -> None:
    assert check_adapter(facts(modules={"lm_head": (128, 1024)}, layers=0, target_modules=("lm_head",)), BASE) is None


def test_a_rank_that_no_engine_holds_has_other_advice_than_one_that_this_endpoint_does_not_hold() -> None:
    high = facts(rank=1024, ranks=(1024,), configured_rank=1024)
    low = facts(rank=32, ranks=(32,), configured_rank=32)
    engine, endpoint = check_adapter(high, BASE), check_adapter(low, BASE, Limits(16))
    assert engine is not None
    assert endpoint is not None
    assert "no engine" in engine.message
    assert "spec.adapters.maxRank" in endpoint.message


def test_values_that_only_a_half_precision_base_cannot_hold() -> None:
    large = facts(largest=1e5)
    assert check_adapter(large, BASE) is None
    finding = check_adapter(large, BASE.model_copy(update={"dtype": "float16"}))
    assert finding is not None
    assert finding.reason == Reason.NOT_FINITE


def test_a_base_with_packed_weights_carries_no_adapter() -> None:
    packed = BASE.model_copy(update={"modules": {"lm_head": (128, 1024)}, "quantization": "gptq"})
    finding = check_adapter(GOOD, packed)
    assert finding is not None
    assert finding.reason == Reason.MODULE_UNSUPPORTED
    assert "gptq" in finding.message


@given(rank=st.integers(1, 512), limit=st.integers(1, 512))
def test_a_higher_limit_never_refuses_what_a_lower_one_took(rank: int, limit: int) -> None:
    adapter = facts(rank=rank, ranks=(rank,), configured_rank=rank)
    if check_adapter(adapter, BASE, Limits(limit)) is None:
        assert check_adapter(adapter, BASE, Limits(limit + 1)) is None
