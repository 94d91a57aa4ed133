"""Makes and saves the bases and adapters, in the files that transformers and peft write."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.learn import Progress, fit
from training.recipe import BASE_NAME, MAX_POSITIONS, VOCABULARY, AdapterRecipe, Schedule
from training.tokens import Example

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def new_base(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A random Llama of 0.7 M parameters; head_dim is the smallest that vLLM's CPU attention takes."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(  # type: ignore[no-untyped-call]
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def load_base(folder: Path, dtype: torch.dtype) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)


def load_adapter(base: LlamaForCausalLM, folder: Path) -> PeftModel:
    """The base with the adapter on it, both in the base's type, as an engine holds them."""
    return PeftModel.from_pretrained(base, str(folder), autocast_adapter_dtype=False)


def train_base(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    data: Sequence[Example],
    schedule: Schedule,
    folder: Path,
    progress: Progress,
) -> None:
    fit(model, data, schedule, progress)
    model.bfloat16().save_pretrained(folder)
    # The template belongs into tokenizer_config.json: one file less that a copy can forget.
    tokenizer.save_pretrained(folder, save_jinja_files=False)


def train_adapter(
    base: LlamaForCausalLM,
    recipe: AdapterRecipe,
    data: Sequence[Example],
    folder: Path,
    progress: Progress,
) -> None:
    """Train on the base's saved weights in float32, save in bf16 as peft saves it."""
    torch.manual_seed(recipe.rank + recipe.version)
    base.name_or_path = BASE_NAME  # peft copies it; it was the folder that the base was loaded from
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=list(LINEAR_LAYERS),
        revision=f"v{recipe.base}",
    )
    model = get_peft_model(base, config)
    fit(model, data, recipe.schedule, progress)
    # Embeddings are untouched; "auto" would look the base up on the hub to find that out.
    model.bfloat16().save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink()
    _sort_lists(folder / "adapter_config.json")


def break_adapter(good: Path, folder: Path, rank: int) -> None:
    """Copy a good adapter under a configuration that states another rank than its tensors have."""
    shutil.copytree(good, folder)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    _write_json(path, config | {"r": rank})


def _sort_lists(path: Path) -> None:
    """peft writes sets as lists in hash order, which changes from run to run."""
    config = json.loads(path.read_text(encoding="utf-8"))
    _write_json(path, {k: sorted(v) if isinstance(v, list) else v for k, v in config.items()})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
