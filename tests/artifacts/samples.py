"""Bases and adapters as files, made in a test: real safetensors, the layout of a small Llama."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

LAYERS = 4
HIDDEN = 128
INTERMEDIATE = 256
KV = 64
VOCABULARY = 1024
LINEAR = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN, KV),
    "self_attn.v_proj": (HIDDEN, KV),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (HIDDEN, INTERMEDIATE),
    "mlp.up_proj": (HIDDEN, INTERMEDIATE),
    "mlp.down_proj": (INTERMEDIATE, HIDDEN),
}
"""(inputs, outputs) of a layer's linear modules."""

Tensors = dict[str, NDArray[Any]]

BASE_CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 2048,
    "dtype": "float32",
    "tie_word_embeddings": True,
}

ADAPTER_CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "tiny-base",
    "r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.0,
    "bias": "none",
    "target_modules": ["q_proj", "v_proj"],
    "modules_to_save": None,
    "use_dora": False,
    "use_rslora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "init_lora_weights": True,
}


def base_tensors(layers: int = LAYERS) -> Tensors:
    """A Llama with tied embeddings, all zeros."""
    tensors: Tensors = {
        "model.embed_tokens.weight": np.zeros((VOCABULARY, HIDDEN), np.float32),
        "model.norm.weight": np.zeros(HIDDEN, np.float32),
    }
    for layer in range(layers):
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = np.zeros(HIDDEN, np.float32)
        for module, (inputs, outputs) in LINEAR.items():
            tensors[f"model.layers.{layer}.{module}.weight"] = np.zeros((outputs, inputs), np.float32)
    return tensors


def write_base(directory: Path, tensors: Tensors | None = None, **config: Any) -> Path:
    """A base model as transformers saves it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({**BASE_CONFIG, **config}))
    (directory / "tokenizer.json").write_text("{}")
    (directory / "README.md").write_text("a model")
    save_file(base_tensors() if tensors is None else tensors, directory / "model.safetensors")
    return directory


def adapter_tensors(
    rank: int = 8,
    layers: int = LAYERS,
    modules: Mapping[str, tuple[int, int]] | None = None,
    seed: int = 1,
    dtype: Any = np.float32,
) -> Tensors:
    """LoRA pairs as PEFT names them, small random values."""
    random = np.random.default_rng(seed)
    chosen = modules or {name: LINEAR[name] for name in ("self_attn.q_proj", "self_attn.v_proj")}
    tensors: Tensors = {}
    for layer in range(layers):
        for module, (inputs, outputs) in chosen.items():
            path = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{path}.lora_A.weight"] = random.normal(0, 0.02, (rank, inputs)).astype(dtype)
            tensors[f"{path}.lora_B.weight"] = random.normal(0, 0.02, (outputs, rank)).astype(dtype)
    return tensors


def write_adapter(directory: Path, tensors: Tensors | None = None, **config: Any) -> Path:
    """An adapter as PEFT saves it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "adapter_config.json").write_text(json.dumps({**ADAPTER_CONFIG, **config}))
    (directory / "README.md").write_text("an adapter")
    weights = directory / "adapter_model.safetensors"
    save_file(adapter_tensors() if tensors is None else tensors, weights)
    weights.chmod(0o644)  # the library makes files that only their owner may read
    return directory
