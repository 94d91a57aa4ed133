"""Facts of adapters: what the files say, and refusal of what they cannot say."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.artifacts.samples import LINEAR, adapter_tensors, write_adapter
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import MAX_RESULT_BYTES, InspectionResult
from tunefleet.artifacts.adapter import read_adapter
from tunefleet.artifacts.errors import ArtifactError

Q = "model.layers.*.self_attn.q_proj"
FIRST_Q = "base_model.model.model.layers.0.self_attn.q_proj"


def test_a_plain_adapter(tmp_path: Path) -> None:
    facts = read_adapter(write_adapter(tmp_path))
    assert facts.rank == facts.configured_rank == 8
    assert facts.ranks == (8,)
    assert facts.layers == 4
    assert facts.modules == {Q: (128, 128), "model.layers.*.self_attn.v_proj": (128, 64)}
    assert facts.target_modules == ("q_proj", "v_proj")
    assert facts.base_model_name == "tiny-base"
    assert facts.tensors == 16
    for names in ("features", "non_finite", "unexpected_tensors", "unmatched_targets", "rank_mismatches"):
        assert getattr(facts, names) == ()


def test_all_linear_modules_and_the_output_head(tmp_path: Path) -> None:
    tensors = adapter_tensors(modules=LINEAR)
    tensors["base_model.model.lm_head.lora_A.weight"] = np.ones((8, 128), np.float32)
    tensors["base_model.model.lm_head.lora_B.weight"] = np.ones((1024, 8), np.float32)
    facts = read_adapter(write_adapter(tmp_path, tensors, target_modules="all-linear"))
    assert facts.modules["lm_head"] == (128, 1024)
    assert len(facts.modules) == 8
    assert facts.target_modules == ("all-linear",)
    assert facts.unmatched_targets == ()


def test_an_embedding_pair_and_the_base_embedding_that_peft_saves_beside_it(tmp_path: Path) -> None:
    tensors = adapter_tensors()
    embedding = "base_model.model.model.embed_tokens"
    tensors[f"{embedding}.lora_embedding_A"] = np.ones((8, 1024), np.float32)
    tensors[f"{embedding}.lora_embedding_B"] = np.ones((128, 8), np.float32)
    tensors[f"{embedding}.base_layer.weight"] = np.ones((1024, 128), np.float32)
    facts = read_adapter(write_adapter(tmp_path, tensors, target_modules=["q_proj", "v_proj", "embed_tokens"]))
    assert facts.modules["model.embed_tokens"] == (1024, 128)
    assert facts.unexpected_tensors == ()


@pytest.mark.parametrize(
    ("config", "feature"),
    [
        ({"use_dora": True}, "dora"),
        ({"bias": "all"}, "bias:all"),
        ({"lora_bias": True}, "lora_bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save:lm_head"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights:pissa_niter_4"),
        ({"peft_type": "IA3"}, "peft_type:IA3"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    ],
)
def test_features_are_named(tmp_path: Path, config: dict[str, Any], feature: str) -> None:
    assert read_adapter(write_adapter(tmp_path, **config)).features == (feature,)


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva", "orthogonal"])
def test_initial_values_that_do_not_change_the_base_are_no_feature(tmp_path: Path, init: bool | str) -> None:
    assert read_adapter(write_adapter(tmp_path, init_lora_weights=init)).features == ()


def test_a_rank_that_is_not_the_configured_one(tmp_path: Path) -> None:
    facts = read_adapter(write_adapter(tmp_path, adapter_tensors(rank=16)))
    assert facts.ranks == (16,)
    assert "model.layers.0.self_attn.q_proj" in facts.rank_mismatches


@pytest.mark.parametrize("key", ["v_proj", r"self_attn\.v_proj", r".*\.v_proj", "model.layers.0.self_attn.v_proj"])
def test_rank_patterns_as_peft_matches_them(tmp_path: Path, key: str) -> None:
    layers = 1
    tensors = adapter_tensors(layers=layers, modules={"self_attn.q_proj": (128, 128)})
    tensors |= adapter_tensors(rank=4, layers=layers, modules={"self_attn.v_proj": (128, 64)})
    facts = read_adapter(write_adapter(tmp_path, tensors, rank_pattern={key: 4}))
    assert facts.ranks == (4, 8)
    assert facts.rank_mismatches == ()


def test_a_rank_pattern_that_matches_only_a_part_of_a_name_does_not_count(tmp_path: Path) -> None:
    facts = read_adapter(write_adapter(tmp_path, rank_pattern={"proj": 4}))
    assert facts.rank_mismatches == ()


@pytest.mark.parametrize("key", ["(a+)+$", "(.*.*.*)x", "a" * 300, "(", "(x){1,9}(y)*"])
def test_patterns_that_could_run_for_ever_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ArtifactError) as refused:
        read_adapter(write_adapter(tmp_path, rank_pattern={key: 4}))
    assert refused.value.reason == Reason.CONFIG_INVALID


def test_many_patterns_that_each_backtrack_are_refused_before_they_are_matched(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as refused:
        read_adapter(write_adapter(tmp_path, rank_pattern={f".*{n}.*(a|b)x": 4 for n in range(1000)}))
    assert refused.value.reason == Reason.CONFIG_INVALID
    assert "too complex keys" in refused.value.message


def test_the_rank_that_an_engine_must_hold_is_the_highest_that_is_configured(tmp_path: Path) -> None:
    facts = read_adapter(write_adapter(tmp_path, adapter_tensors(4), r=16, rank_pattern={"q_proj": 4, "v_proj": 4}))
    assert (facts.ranks, facts.rank, facts.rank_mismatches) == ((4,), 16, ())


@pytest.mark.parametrize(
    "config",
    [
        {"r": 0},
        {"r": "8"},
        {"r": True},
        {"lora_alpha": None},
        {"lora_alpha": float("nan")},
        {"lora_alpha": float("inf")},
        {"alpha_pattern": {"q_proj": float("nan")}},
        {"target_modules": None},
        {"target_modules": []},
        {"rank_pattern": {"q_proj": 0}},
        {"rank_pattern": [1]},
    ],
)
def test_configurations_that_say_nothing_usable(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError) as refused:
        read_adapter(write_adapter(tmp_path, **config))
    assert refused.value.reason == Reason.CONFIG_INVALID


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", "[" * 100_000])
def test_a_configuration_that_is_not_a_json_object(tmp_path: Path, text: str) -> None:
    write_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(ArtifactError) as refused:
        read_adapter(tmp_path)
    assert refused.value.reason == Reason.CONFIG_INVALID


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("adapter_config.json", Reason.CONFIG_INVALID), ("adapter_model.safetensors", Reason.WEIGHTS_INVALID)],
)
def test_missing_files(tmp_path: Path, missing: str, reason: Reason) -> None:
    (write_adapter(tmp_path) / missing).unlink()
    with pytest.raises(ArtifactError) as refused:
        read_adapter(tmp_path)
    assert refused.value.reason == reason
    assert missing in refused.value.message


@pytest.mark.parametrize(
    "name",
    [
        f"{FIRST_Q}.lora_magnitude_vector",
        f"{FIRST_Q}.weight",
        f"{FIRST_Q}.lora_A.default.weight",
        f"{FIRST_Q}.base_layer.weight",
        "base_model.model.score.weight",
    ],
)
def test_tensors_that_are_not_half_of_a_pair(tmp_path: Path, name: str) -> None:
    tensors = adapter_tensors()
    tensors[name] = np.ones((8, 128), np.float32)
    assert read_adapter(write_adapter(tmp_path, tensors)).unexpected_tensors == (name,)


def test_a_half_without_the_other_and_integers_and_vectors(tmp_path: Path) -> None:
    tensors = adapter_tensors()
    del tensors[f"{FIRST_Q}.lora_B.weight"]
    tensors["base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight"] = np.ones((8, 128), np.int32)
    tensors["base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"] = np.ones(8, np.float32)
    assert len(read_adapter(write_adapter(tmp_path, tensors)).unexpected_tensors) == 5


def test_modules_that_differ_between_layers(tmp_path: Path) -> None:
    tensors = adapter_tensors(layers=1)
    other = adapter_tensors(layers=2, modules={"self_attn.q_proj": (256, 256)})
    tensors |= {name: value for name, value in other.items() if ".layers.1." in name}
    facts = read_adapter(write_adapter(tmp_path, tensors))
    assert facts.mixed_modules == (Q,)
    assert Q not in facts.modules


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_non_finite_values_are_found(tmp_path: Path, value: float, dtype: type) -> None:
    tensors = adapter_tensors(dtype=dtype)
    tensors[f"{FIRST_Q}.lora_B.weight"][3, 5] = value
    assert read_adapter(write_adapter(tmp_path, tensors)).non_finite == (f"{FIRST_Q}.lora_B.weight",)


def test_the_scaling_counts_for_the_largest_value(tmp_path: Path) -> None:
    tensors = {name: np.ones_like(value) for name, value in adapter_tensors().items()}
    assert read_adapter(write_adapter(tmp_path, tensors, lora_alpha=80)).largest == 10.0
    assert read_adapter(write_adapter(tmp_path, tensors, lora_alpha=80, alpha_pattern={"q_proj": 8000})).largest == 1000


def test_a_listed_target_without_a_tensor(tmp_path: Path) -> None:
    assert read_adapter(write_adapter(tmp_path, target_modules=["q_proj", "nowhere"])).unmatched_targets == ("nowhere",)
    excluded = write_adapter(tmp_path, target_modules=["q_proj", "nowhere"], exclude_modules=["nowhere"])
    assert read_adapter(excluded).unmatched_targets == ()


def test_a_pattern_is_no_name(tmp_path: Path) -> None:
    facts = read_adapter(write_adapter(tmp_path, target_modules=r".*\.(q|v)_proj"))
    assert facts.unmatched_targets == ()


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    write_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{" * 100)
    with pytest.raises(ArtifactError) as refused:
        read_adapter(tmp_path)
    assert refused.value.reason == Reason.WEIGHTS_INVALID


def test_the_facts_of_a_large_mixture_of_experts_fit_in_a_termination_message(tmp_path: Path) -> None:
    modules = {f"mlp.experts.{expert}.{name}": (8, 8) for expert in range(4) for name in ("gate_proj", "down_proj")}
    targets = [f"model.layers.{layer}.{module}" for layer in range(60) for module in modules]
    tensors = adapter_tensors(rank=4, layers=60, modules={**LINEAR, **modules})
    facts = read_adapter(write_adapter(tmp_path, tensors, target_modules=targets))
    result = InspectionResult(kind="adapter", digest="sha256:" + "0" * 64, size_bytes=1, adapter=facts)
    assert InspectionResult.read(json.loads(result.termination_message())) == result
    assert facts.target_modules == ("down_proj", "gate_proj")


def test_names_that_do_not_fit_in_a_termination_message_are_refused(tmp_path: Path) -> None:
    modules = {f"{'x' * 150}{chr(97 + kind)}": (1, 1) for kind in range(25)}
    facts = read_adapter(write_adapter(tmp_path, adapter_tensors(layers=1, modules=modules)))
    message = InspectionResult(kind="adapter", adapter=facts).termination_message()
    assert len(message.encode()) <= MAX_RESULT_BYTES
    assert InspectionResult.read(json.loads(message)).reason == Reason.WEIGHTS_INVALID
