"""The architecture of a base model, from config.json and the headers of its safetensors files; no weight is read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason

from .digest import counts
from .errors import ArtifactError
from .finite import FLOAT_FORMATS
from .header import DTYPE_BITS, Tensor, read_header
from .peft import invalid, json_object
from .source import RemoteFile, Source, read_all, read_range
from .tensor_names import module_pattern

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
MAX_CONFIG_BYTES = 4 * 2**20
MAX_INDEX_BYTES = 64 * 2**20
GENERATIVE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""Endings of the architectures that answer chats and completions."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")

_EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "tok_embeddings")
_NOT_LINEAR = ("wpe", "embed_positions", "position_embeddings", "rotary_emb", "norm")


async def read_base(source: Source, files: Sequence[RemoteFile]) -> Architecture:
    """Read a base model's architecture. Raises ArtifactError when a file is missing or broken."""
    by_name = {file.name: file for file in files}
    if CONFIG not in by_name:
        raise invalid(f"{CONFIG} is missing; the URI must name a directory that transformers saved")
    config = json_object(CONFIG, await read_all(source, by_name[CONFIG], MAX_CONFIG_BYTES))
    if not any(name in by_name for name in TOKENIZERS):
        raise invalid("the tokenizer is missing; save it into the same directory")
    tensors = await _tensors(source, by_name)
    return architecture(config, tensors)


def architecture(config: Mapping[str, Any], tensors: Sequence[Tensor]) -> Architecture:
    """The architecture that a config.json and its tensors describe. Raises ArtifactError."""
    class_name = _class_name(config)
    text = _text_config(config)
    heads = _number(text, "num_attention_heads", "n_head")
    hidden = _number(text, "hidden_size", "n_embd")
    vocabulary = _number(text, "vocab_size")
    return Architecture(
        model_type=str(config.get("model_type", "")),
        class_name=class_name,
        parameters=sum(tensor.elements for tensor in tensors),
        weight_bytes=sum(tensor.end - tensor.start for tensor in tensors),
        layers=_number(text, "num_hidden_layers", "n_layer"),
        hidden_size=hidden,
        intermediate_size=_number(text, "intermediate_size", "n_inner", default=4 * hidden),
        attention_heads=heads,
        kv_heads=_number(text, "num_key_value_heads", default=heads),
        head_dim=_number(text, "head_dim", default=hidden // heads),
        vocab_size=vocabulary,
        max_positions=_number(text, "max_position_embeddings", "n_positions"),
        dtype=str(text.get("dtype") or text.get("torch_dtype") or _dtype(tensors)),
        quantization=_quantization(config),
        experts=_number(text, "num_local_experts", "n_routed_experts", "num_experts", default=0) or None,
        modules=_modules(tensors, hidden, vocabulary),
    )


async def _tensors(source: Source, by_name: Mapping[str, RemoteFile]) -> list[Tensor]:
    weights = [file for name, file in by_name.items() if name.endswith(".safetensors")]
    if not weights:
        raise ArtifactError(
            Reason.WEIGHTS_INVALID, "there is no safetensors file; save the model with safe_serialization=True"
        )
    tensors = [tensor for file in weights for tensor in await _file_tensors(source, file)]
    if INDEX in by_name:
        await _check_index(source, by_name, {tensor.name for tensor in tensors})
    return tensors


async def _file_tensors(source: Source, file: RemoteFile) -> tuple[Tensor, ...]:
    async def read(start: int, length: int) -> bytes:
        return await read_range(source, file, start, length)

    return await read_header(file.name, file.size, read)


async def _check_index(source: Source, by_name: Mapping[str, RemoteFile], present: set[str]) -> None:
    index = json_object(INDEX, await read_all(source, by_name[INDEX], MAX_INDEX_BYTES))
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        raise invalid(f"{INDEX} has no weight_map; save the model again")
    files = {str(name) for name in weight_map.values()}
    if missing := sorted(name for name in files if name not in by_name or not counts("base", name)):
        raise ArtifactError(Reason.WEIGHTS_INVALID, f"{missing[0][:200]} is missing ({len(missing)} files in all)")
    if lost := sorted(weight_map.keys() - present):
        raise ArtifactError(Reason.WEIGHTS_INVALID, f"tensor {lost[0][:200]} is missing ({len(lost)} in all)")


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Models of several modalities keep the language model's numbers apart."""
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else config


def _class_name(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise invalid(f"{CONFIG} names no architectures; save the model with transformers")
    if not names[0].endswith(GENERATIVE):
        raise ArtifactError(
            Reason.ARCHITECTURE_UNSUPPORTED, f"{names[0][:100]} does not generate text; use a causal language model"
        )
    return names[0]


def _number(config: Mapping[str, Any], *keys: str, default: int | None = None) -> int:
    """The first key that is there, as a positive integer."""
    for key in keys:
        value = config.get(key)
        if value is not None:
            if type(value) is not int or not 0 < value < 2**40:
                raise invalid(f"{CONFIG}: {key} must be a positive integer")
            return value
    if default is None:
        raise invalid(f"{CONFIG}: {keys[0]} is missing; the model's layout cannot be told without it")
    return default


def _dtype(tensors: Iterable[Tensor]) -> str:
    """torch's name of the dtype that most bytes have."""
    names = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
    sizes: dict[str, int] = {}
    for tensor in tensors:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.elements * DTYPE_BITS[tensor.dtype]
    widest = max(sizes, key=lambda dtype: sizes[dtype], default="")
    return names.get(widest, widest.lower())


def _quantization(config: Mapping[str, Any]) -> str | None:
    quantization = config.get("quantization_config")
    if isinstance(quantization, dict):
        return str(quantization.get("quant_method", "unknown"))[:32]
    return None


def _modules(tensors: Iterable[Tensor], hidden: int, vocabulary: int) -> dict[str, tuple[int, int]]:
    """Modules that adapters can target: only those with one shape in every layer, and none with packed weights."""
    shapes: dict[str, set[tuple[int, int]]] = {"lm_head": set()}
    for tensor in tensors:
        path = tensor.name.removesuffix(".weight")
        if path != tensor.name and len(tensor.shape) == 2 and tensor.dtype in FLOAT_FORMATS:
            shapes.setdefault(module_pattern(path), set()).add(_inputs_outputs(path, tensor.shape))
    shapes["lm_head"] = shapes["lm_head"] or {(hidden, vocabulary)}  # tied to the embedding
    return {
        path: sizes.pop()
        for path, sizes in sorted(shapes.items())
        if len(sizes) == 1 and not path.endswith(_NOT_LINEAR)
    }


def _inputs_outputs(path: str, shape: Sequence[int]) -> tuple[int, int]:
    """A linear layer's weight is (outputs, inputs), an embedding's is (vocabulary, hidden)."""
    return (shape[0], shape[1]) if path.endswith(_EMBEDDINGS) else (shape[1], shape[0])
