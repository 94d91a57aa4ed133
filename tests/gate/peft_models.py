"""Makes `data/`: adapters as the real peft saves them, on tiny random models of several families.

Run by hand, with what examples/models/requirements.txt installs; tests only read what it wrote:

    HF_HUB_OFFLINE=1 python tests/gate/peft_models.py

A base is kept as its config.json and the shapes of its tensors: the gate needs no more, and `peft_data.write_base`
makes a model of zeros from it. `manifest.json` has the versions of the libraries, and what each adapter is.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft  # type: ignore[import-not-found]
import safetensors
import torch  # type: ignore[import-not-found]
import transformers  # type: ignore[import-not-found]
from peft import LoraConfig, get_peft_model

DATA = Path(__file__).parent / "data"
SIZES = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
FAMILIES: dict[str, Callable[[], Any]] = {
    "gemma": lambda: transformers.GemmaConfig(**SIZES),
    "gemma2": lambda: transformers.Gemma2Config(**SIZES, query_pre_attn_scalar=32),
    "gemma3": lambda: transformers.Gemma3TextConfig(**SIZES, query_pre_attn_scalar=32),
    "llama": lambda: transformers.LlamaConfig(**SIZES, tie_word_embeddings=False),
    "mistral": lambda: transformers.MistralConfig(**SIZES, tie_word_embeddings=False),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**SIZES, tie_word_embeddings=False),
}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ADAPTERS: dict[str, dict[str, Any]] = {
    "all-linear": {"target_modules": "all-linear"},
    "attention": {"target_modules": ATTENTION, "use_rslora": True},
    "by-pattern": {"target_modules": r".*\.layers\.[01]\..*(q|v)_proj"},
    "patterns": {
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 4},
        "alpha_pattern": {r"layers.1.self_attn.q_proj": 16},
    },
    "one-layer": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
}
EMBEDDINGS = {"embeddings": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]}}
"""Large, so only of two families that the engine can adapt in this way, and of one that it cannot."""
WITH_EMBEDDINGS = ("llama", "mistral", "qwen3")
ONLY_LLAMA: dict[str, dict[str, Any]] = {
    "dora": {"target_modules": ["q_proj"], "use_dora": True},
    "pissa": {"target_modules": ["q_proj"], "init_lora_weights": "pissa"},
    "bias": {"target_modules": ["q_proj"], "lora_bias": True},
    "head-in-full": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "tokens": {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [3, 4]}},
    "parameters": {"target_modules": ["q_proj"], "target_parameters": ["mlp.up_proj.weight"]},
    "added-tokens": {"target_modules": ["q_proj", "embed_tokens"]},
}


def main() -> None:
    """Write everything anew."""
    shutil.rmtree(DATA, ignore_errors=True)
    for family in FAMILIES:
        write_base(family)
        for name, options in adapters_of(family).items():
            write_adapter(family, name, options)
    versions = {module.__name__: module.__version__ for module in (peft, safetensors, torch, transformers)}
    (DATA / "manifest.json").write_text(json.dumps({"versions": versions, "adapters": listed()}, indent=2) + "\n")


def adapters_of(family: str) -> dict[str, dict[str, Any]]:
    """Names, and what peft is told."""
    embeddings = EMBEDDINGS if family in WITH_EMBEDDINGS else {}
    return {**ADAPTERS, **embeddings, **(ONLY_LLAMA if family == "llama" else {})}


def base(family: str) -> Any:
    """A model of random weights, the same ones each time."""
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family](), dtype=torch.bfloat16)
    model.name_or_path = f"tiny/{family}"
    return model


def write_base(family: str) -> None:
    """config.json as transformers writes it, and the tensors that it writes: name -> shape."""
    directory = DATA / family / "base"
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as saved:
        base(family).save_pretrained(saved)
        shutil.copy(Path(saved) / "config.json", directory)
        with safetensors.safe_open(Path(saved) / "model.safetensors", "pt") as tensors:
            shapes = {name: tensors.get_slice(name).get_shape() for name in sorted(tensors.keys())}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes.items())
    (directory / "shapes.json").write_text(f"{{\n{lines}\n}}\n")


def write_adapter(family: str, name: str, options: dict[str, Any]) -> None:
    """An adapter whose halves are both random, as after a training."""
    model = base(family)
    if name == "added-tokens":
        model.resize_token_embeddings(SIZES["vocab_size"] + 2)
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, task_type="CAUSAL_LM", **options))
    for key, parameter in adapted.named_parameters():
        if "lora_B" in key or "lora_embedding_A" in key:
            torch.nn.init.normal_(parameter, std=0.02)
    directory = DATA / family / name
    adapted.save_pretrained(str(directory))
    (directory / "README.md").unlink()


def listed() -> dict[str, list[str]]:
    """Adapters by family."""
    return {
        family.name: sorted(path.name for path in family.iterdir() if path.name != "base")
        for family in sorted(DATA.iterdir())
        if family.is_dir()
    }


if __name__ == "__main__":
    main()
