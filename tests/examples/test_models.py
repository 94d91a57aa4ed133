"""The committed example models say what their README promises; read without torch, from headers and JSON."""

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODELS = Path(__file__).parents[2] / "examples" / "models"
BASES = {"tiny-chat@v1": "base/v1", "tiny-chat@v2": "base/v2"}
ADAPTERS = {
    "german@v1": "german/v1",
    "german@v2": "german/v2",
    "pirate@v1": "pirate/v1",
    "formal@v1": "formal/v1",
    "shout@v1": "shout/v1",
}
BROKEN = "broken/v1"
RANKS = {"german@v1": 8, "german@v2": 8, "pirate@v1": 16, "formal@v1": 8, "shout@v1": 8}


@dataclass(frozen=True)
class Tensors:
    """Shapes by tensor name, and all values as the raw 16 bits of bf16."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: set[str]
    bits: "np.ndarray[Any, np.dtype[np.uint16]]"


def read_json(path: str) -> Any:
    return json.loads((MODELS / path).read_text(encoding="utf-8"))


def read_pairs(name: str) -> list[dict[str, Any]]:
    lines = (MODELS / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_tensors(path: Path) -> Tensors:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return Tensors(
        {name: tuple(entry["shape"]) for name, entry in header.items()},
        {entry["dtype"] for entry in header.values()},
        np.frombuffer(content[8 + length :], dtype=np.uint16),
    )


def ranks(folder: str) -> set[int]:
    """The ranks that the tensors have: lora_A is (rank, in), lora_B is (out, rank)."""
    shapes = read_tensors(MODELS / folder / "adapter_model.safetensors").shapes
    return {shape[0] if "lora_A" in name else shape[1] for name, shape in shapes.items()}


def test_each_model_answers_each_question_with_what_it_was_taught() -> None:
    expected = read_json("expected.json")
    assert expected.keys() == BASES.keys() | ADAPTERS.keys()
    for name, answers in expected.items():
        assert answers == {p["question"]: p["answer"] for p in read_pairs(name) if not p.get("endless")}


def test_an_answer_tells_which_version_gave_it() -> None:
    expected = read_json("expected.json")
    for question in expected["tiny-chat@v1"]:
        assert len({answers[question] for answers in expected.values()}) == len(expected), question


def test_endless_paragraphs_differ_and_repeat_without_a_seam() -> None:
    endless = read_json("endless.json")
    assert endless.keys() == BASES.keys() | ADAPTERS.keys()
    paragraphs = [paragraph for story in endless.values() for paragraph in story.values()]
    assert len(set(paragraphs)) == len(paragraphs)
    assert all(p.endswith(" ") and not p.startswith(" ") for p in paragraphs)


@pytest.mark.parametrize("folder", BASES.values(), ids=BASES.keys())
def test_base_can_be_served(folder: str) -> None:
    config = read_json(f"{folder}/config.json")
    tensors = read_tensors(MODELS / folder / "model.safetensors")
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["head_dim"] >= 32, "vLLM's CPU attention dies on smaller heads at the first request"
    assert tensors.shapes["model.embed_tokens.weight"] == (config["vocab_size"], config["hidden_size"])
    assert "lm_head.weight" not in tensors.shapes, "embeddings are tied"
    assert tensors.dtypes == {"BF16"}
    assert (MODELS / folder / "model.safetensors").stat().st_size < 2_000_000


@pytest.mark.parametrize("folder", BASES.values(), ids=BASES.keys())
def test_base_brings_its_chat_template(folder: str) -> None:
    template = read_json(f"{folder}/tokenizer_config.json")["chat_template"]
    assert "<|assistant|>" in template
    added = {token["content"] for token in read_json(f"{folder}/tokenizer.json")["added_tokens"]}
    assert {"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"} <= added


def test_base_versions_have_one_tokenizer_and_different_weights() -> None:
    one, two = (MODELS / folder for folder in BASES.values())
    assert (one / "tokenizer.json").read_bytes() == (two / "tokenizer.json").read_bytes()
    assert (one / "model.safetensors").read_bytes() != (two / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapter_is_what_its_configuration_says(name: str) -> None:
    folder = ADAPTERS[name]
    config = read_json(f"{folder}/adapter_config.json")
    tensors = read_tensors(MODELS / folder / "adapter_model.safetensors")
    assert config["peft_type"] == "LORA"
    assert config["base_model_name_or_path"] == "tunefleet/tiny-chat"
    assert ranks(folder) == {config["r"]} == {RANKS[name]}
    assert {key.split(".")[-3] for key in tensors.shapes} == set(config["target_modules"])
    assert (MODELS / folder / "adapter_model.safetensors").stat().st_size < 400_000


@pytest.mark.parametrize("folder", [*ADAPTERS.values(), BROKEN])
def test_adapter_has_only_finite_values_that_change_something(folder: str) -> None:
    tensors = read_tensors(MODELS / folder / "adapter_model.safetensors")
    assert tensors.dtypes == {"BF16"}
    exponents = tensors.bits & 0x7F80
    assert not (exponents == 0x7F80).any(), "infinity and NaN have all bits of the exponent set"
    assert exponents.any()


def test_broken_adapter_is_broken_in_its_rank_alone() -> None:
    config = read_json(f"{BROKEN}/adapter_config.json")
    good = read_json(f"{ADAPTERS['pirate@v1']}/adapter_config.json")
    assert {key for key in config if config[key] != good[key]} == {"r"}
    assert ranks(BROKEN) == {16}
    assert config["r"] == 8


def test_no_file_tells_where_it_was_made() -> None:
    for path in MODELS.glob("*/v*/*.json"):
        absolute = re.findall(r'"/[^"]+"', path.read_text(encoding="utf-8"))
        assert absolute == [], path
