"""Architectures of bases, from config.json and headers alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.artifacts.samples import BASE_CONFIG, HIDDEN, LAYERS, VOCABULARY, base_tensors, write_base
from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.artifacts.fetch import fetch
from tunefleet.artifacts.inspection import Question, inspect_base
from tunefleet.artifacts.opening import open_source

URI = "pvc://models/base"


async def inspect(root: Path, digest: str | None = None) -> InspectionResult:
    return await inspect_base(Question(URI, {}, digest, root))


async def architecture(root: Path) -> Architecture:
    result = await inspect(root)
    assert result.architecture is not None, result.message
    return result.architecture


def put(root: Path, tensors: Any = None, **config: Any) -> Path:
    return write_base(root / "models" / "base", tensors, **config)


async def test_a_small_llama(tmp_path: Path) -> None:
    put(tmp_path)
    found = await architecture(tmp_path)
    elements = sum(tensor.size for tensor in base_tensors().values())
    assert found.parameters == elements
    assert found.weight_bytes == 4 * elements
    assert (found.layers, found.hidden_size, found.kv_heads, found.head_dim) == (LAYERS, HIDDEN, 2, 32)
    assert found.class_name == "LlamaForCausalLM"
    assert found.dtype == "float32"
    assert found.modules["model.layers.*.self_attn.k_proj"] == (HIDDEN, 64)
    assert found.modules["model.layers.*.mlp.down_proj"] == (256, HIDDEN)
    assert found.modules["model.embed_tokens"] == (VOCABULARY, HIDDEN)
    assert found.modules["lm_head"] == (HIDDEN, VOCABULARY)
    assert not any("norm" in module for module in found.modules)


async def test_the_digest_is_that_of_the_fetched_files(tmp_path: Path) -> None:
    put(tmp_path)
    result = await inspect(tmp_path)
    async with open_source(URI, {}, mount_root=tmp_path) as source:
        stored = await fetch(source, "base", tmp_path / "out")
    assert (stored.digest, stored.size_bytes) == (result.digest, result.size_bytes)


async def test_a_given_digest_is_taken_over_and_left_to_the_fetch(tmp_path: Path) -> None:
    put(tmp_path)
    digest = "sha256:" + "1" * 64
    assert (await inspect(tmp_path, digest)).digest == digest


async def test_weights_in_several_files_with_their_index(tmp_path: Path) -> None:
    base = put(tmp_path)
    (base / "model.safetensors").unlink()
    tensors = sorted(base_tensors().items())
    parts = {"model-1.safetensors": dict(tensors[:9]), "model-2.safetensors": dict(tensors[9:])}
    for name, part in parts.items():
        save_file(part, base / name)
    weight_map = {tensor: name for name, part in parts.items() for tensor in part}
    index = base / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert (await architecture(tmp_path)).parameters == sum(tensor.size for _, tensor in tensors)
    index.write_text(json.dumps({"weight_map": weight_map | {"lost": "model-1.safetensors"}}))
    assert (await inspect(tmp_path)).reason == Reason.WEIGHTS_INVALID
    (base / "model-2.safetensors").unlink()
    result = await inspect(tmp_path)
    assert result.reason == Reason.WEIGHTS_INVALID
    assert "model-2.safetensors" in result.message


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architectures": ["BertModel"]}, Reason.ARCHITECTURE_UNSUPPORTED),
        ({"architectures": None}, Reason.CONFIG_INVALID),
        ({"architectures": [7]}, Reason.CONFIG_INVALID),
        ({"num_hidden_layers": None}, Reason.CONFIG_INVALID),
        ({"num_hidden_layers": "4"}, Reason.CONFIG_INVALID),
        ({"num_attention_heads": 0}, Reason.CONFIG_INVALID),
        ({"vocab_size": -1}, Reason.CONFIG_INVALID),
        ({"hidden_size": True}, Reason.CONFIG_INVALID),
    ],
)
async def test_configurations_that_do_not_tell_the_layout(
    tmp_path: Path, config: dict[str, Any], reason: Reason
) -> None:
    put(tmp_path, **config)
    assert (await inspect(tmp_path)).reason == reason


async def test_numbers_of_a_language_model_among_other_modalities(tmp_path: Path) -> None:
    text = {key: BASE_CONFIG[key] for key in BASE_CONFIG if key not in {"architectures", "model_type"}}
    put(tmp_path, architectures=["GemmaForConditionalGeneration"], text_config=text, num_hidden_layers=99)
    assert (await architecture(tmp_path)).layers == LAYERS
    put(tmp_path, text_config=["x"])
    assert (await architecture(tmp_path)).layers == LAYERS


async def test_a_mixture_of_experts(tmp_path: Path) -> None:
    tensors = base_tensors()
    for layer in range(LAYERS):
        for expert in range(2):
            name = f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight"
            tensors[name] = np.zeros((16, HIDDEN), np.float32)
    put(tmp_path, tensors, num_local_experts=2)
    found = await architecture(tmp_path)
    assert found.experts == 2
    assert found.modules["model.layers.*.mlp.experts.*.up_proj"] == (HIDDEN, 16)


async def test_packed_weights_give_no_modules_and_their_method(tmp_path: Path) -> None:
    tensors = {
        name.replace(".weight", ".qweight"): np.zeros(tensor.shape, np.int32) for name, tensor in base_tensors().items()
    }
    put(tmp_path, tensors, quantization_config={"quant_method": "gptq"})
    found = await architecture(tmp_path)
    assert found.quantization == "gptq"
    assert set(found.modules) == {"lm_head"}


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("config.json", Reason.CONFIG_INVALID),
        ("tokenizer.json", Reason.CONFIG_INVALID),
        ("model.safetensors", Reason.WEIGHTS_INVALID),
    ],
)
async def test_missing_files(tmp_path: Path, missing: str, reason: Reason) -> None:
    (put(tmp_path) / missing).unlink()
    result = await inspect(tmp_path)
    assert (result.reason, result.transient) == (reason, False)


async def test_cut_weights(tmp_path: Path) -> None:
    weights = put(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert (await inspect(tmp_path)).reason == Reason.WEIGHTS_INVALID


async def test_the_answer_fits_in_a_termination_message(tmp_path: Path) -> None:
    put(tmp_path)
    result = await inspect(tmp_path)
    assert InspectionResult.read(json.loads(result.termination_message())) == result
