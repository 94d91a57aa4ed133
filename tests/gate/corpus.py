"""Adapters that must be refused, and good ones beside them, made from nothing: `python -m tests.gate.corpus DIRECTORY`.

Deterministic. All are of the base of `artifacts.samples` (also examples/models/base/v1): a Llama with tied embeddings,
4 layers, hidden size 128, 2 key-value heads. The names say what is wrong.
"""

import json
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tests.artifacts.samples import ADAPTER_CONFIG, HIDDEN, LINEAR, VOCABULARY, Tensors, adapter_tensors, write_adapter
from tests.gate.differences import DIFFERENCES
from tunefleet.api.conditions import Reason

MAX_RANK = 16
"""Of the engine that the adapters are for."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model.model"
FIRST_Q = f"{PREFIX}.layers.0.self_attn.q_proj"
FIRST_V = f"{PREFIX}.layers.0.self_attn.v_proj"

Make = Callable[[Path], object]
Answer = Literal["refuses", "takes"]


@dataclass(frozen=True)
class Case:
    """One adapter."""

    name: str
    make: Make
    """Writes it into a directory."""
    reason: Reason | None
    """Why the gate refuses it; None when it takes it."""

    @property
    def engine(self) -> Answer:
        """What vLLM 0.32 does with it."""
        return "takes" if self.reason is None or self.name in DIFFERENCES else "refuses"


def write(**config: Any) -> Make:
    """A good adapter but for its configuration; the value `...` removes a field."""

    def make(directory: Path) -> None:
        write_adapter(directory)
        merged = {**ADAPTER_CONFIG, **config}
        _config(directory, json.dumps({key: value for key, value in merged.items() if value is not ...}))

    return make


def configured(text: str | bytes) -> Make:
    """A good adapter with these bytes as its configuration."""

    def make(directory: Path) -> None:
        write_adapter(directory)
        _config(directory, text)

    return make


def weights(tensors: Callable[[], Tensors], **config: Any) -> Make:
    """An adapter of other tensors."""
    return lambda directory: write_adapter(directory, tensors(), **config)


def changed(change: Callable[[Tensors], object], **config: Any) -> Make:
    """A good adapter whose tensors were changed."""

    def make(directory: Path) -> None:
        tensors = adapter_tensors()
        change(tensors)
        write_adapter(directory, tensors, **config)

    return make


def added(name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> Make:
    """A good adapter with one tensor more."""
    return changed(lambda tensors: tensors.update({name: np.full(shape, 1, dtype)}))


def without(*names: str) -> Make:
    """A good adapter without some tensors."""
    return changed(lambda tensors: [tensors.pop(name) for name in names])


def valued(value: float, dtype: Any = np.float32) -> Make:
    """A good adapter with one value that is none."""

    def make(directory: Path) -> None:
        tensors = adapter_tensors(dtype=dtype)
        tensors[f"{FIRST_V}.lora_B.weight"][3, 5] = value
        write_adapter(directory, tensors)

    return make


def raw(content: Callable[[bytes], bytes]) -> Make:
    """A good adapter whose weight file was changed byte by byte."""

    def make(directory: Path) -> None:
        path = write_adapter(directory) / WEIGHTS
        path.write_bytes(content(path.read_bytes()))

    return make


def header(change: Callable[[dict[str, Any]], object]) -> Make:
    """A good adapter whose weight file says something else of its data."""

    def content(good: bytes) -> bytes:
        length = int.from_bytes(good[:8], "little")
        document = json.loads(good[8 : 8 + length])
        change(document)
        return packed(json.dumps(document).encode(), good[8 + length :])

    return raw(content)


def packed(text: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file; `length` is what it claims of its header."""
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _config(directory: Path, text: str | bytes) -> None:
    (directory / CONFIG).write_bytes(text if isinstance(text, bytes) else text.encode())


def _million(_: bytes) -> bytes:
    entry = '"{:08d}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
    return packed(("{" + ",".join(map(entry.format, range(300_000))) + "}").encode())


def _name_twice(good: bytes) -> bytes:
    length = int.from_bytes(good[:8], "little")
    text = good[8 : 8 + length].rstrip()
    first = json.loads(text)
    key, value = next((k, v) for k, v in first.items() if k != "__metadata__")
    return packed(text[:-1] + f",{json.dumps(key)}:{json.dumps(value)}}}".encode(), good[8 + length :])


def _huge_shapes(document: dict[str, Any]) -> None:
    for name, entry in document.items():
        if name != "__metadata__":
            entry["shape"] = [2**40, 2**40]


def _shift(key: str, by: int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        start, end = document[key]["data_offsets"]
        document[key]["data_offsets"] = [start + by, end + by]

    return change


def _only_pickle(directory: Path) -> None:
    write_adapter(directory)
    (directory / WEIGHTS).unlink()
    (directory / "adapter_model.bin").write_bytes(b"\x80\x04N.")


def _missing(name: str) -> Make:
    return lambda directory: (write_adapter(directory) / name).unlink()


def _link_out(directory: Path) -> None:
    """A weight file that lies outside of the claim."""
    elsewhere = directory.parent.parent / f"{directory.parent.name}-elsewhere"
    write_adapter(elsewhere)
    _missing(WEIGHTS)(directory)
    (directory / WEIGHTS).symlink_to(elsewhere / WEIGHTS)


def _wider(module: str, inputs: int, outputs: int) -> Make:
    return weights(lambda: adapter_tensors(modules={module: (inputs, outputs)}), target_modules="all-linear")


def _renamed(old: str, new: str) -> Make:
    return weights(
        lambda: {name.replace(old, new): value for name, value in adapter_tensors().items()}, target_modules=".*"
    )


def _embedding(rows: int = VOCABULARY) -> Tensors:
    path = f"{PREFIX}.embed_tokens"
    return {
        **adapter_tensors(),
        f"{path}.lora_embedding_A": np.full((8, VOCABULARY), 0.01, np.float32),
        f"{path}.lora_embedding_B": np.full((HIDDEN, 8), 0.01, np.float32),
        f"{path}.base_layer.weight": np.full((rows, HIDDEN), 0.01, np.float32),
    }


def _head() -> Tensors:
    path = "base_model.model.lm_head"
    return {
        **adapter_tensors(),
        f"{path}.lora_A.weight": np.full((8, HIDDEN), 0.01, np.float32),
        f"{path}.lora_B.weight": np.full((VOCABULARY, 8), 0.01, np.float32),
    }


def _zeros() -> Tensors:
    return {name: np.zeros_like(value) if "lora_B" in name else value for name, value in adapter_tensors().items()}


def _uneven_rank(tensors: Tensors) -> None:
    tensors[f"{FIRST_Q}.lora_B.weight"] = np.ones((HIDDEN, 4), np.float32)


def _of_dtype(name: str, size: int) -> Make:
    """A good adapter in a number format that numpy does not know: small values, all bytes 0x01."""

    def content(good: bytes) -> bytes:
        document = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
        document.pop("__metadata__", None)
        position = 0
        for entry in sorted(document.values(), key=lambda value: int(value["data_offsets"][0])):
            end = position + size * int(np.prod(entry["shape"]))
            entry.update(dtype=name, data_offsets=[position, end])
            position = end
        return packed(json.dumps(document).encode(), b"\x01" * position)

    return raw(content)


def _per_layer_ranks() -> Tensors:
    return {**adapter_tensors(4, modules={"self_attn.q_proj": LINEAR["self_attn.q_proj"]}, seed=2), **_values_only()}


def _values_only() -> Tensors:
    return adapter_tensors(8, modules={"self_attn.v_proj": LINEAR["self_attn.v_proj"]})


C, W, F, B, M = (
    Reason.CONFIG_INVALID,
    Reason.WEIGHTS_INVALID,
    Reason.FEATURE_UNSUPPORTED,
    Reason.WRONG_BASE,
    Reason.MODULE_UNSUPPORTED,
)

CONFIGURATIONS = (
    Case("config-missing", _missing(CONFIG), C),
    Case("config-not-json", configured("{"), C),
    Case("config-not-utf8", configured(b'{"r": "\xff\xfe"}'), C),
    Case("config-is-a-list", configured("[]"), C),
    Case("config-deeply-nested", configured('{"r":' * 50_000), C),
    Case("config-huge", write(padding="x" * 2**21), C),
    Case("rank-missing", write(r=...), C),
    Case("rank-zero", write(r=0), C),
    Case("rank-negative", write(r=-8), C),
    Case("rank-is-text", write(r="8"), C),
    Case("rank-is-a-fraction", write(r=8.5), C),
    Case("rank-is-true", write(r=True), C),
    Case("alpha-missing", write(lora_alpha=...), C),
    Case("alpha-zero", write(lora_alpha=0), C),
    Case("alpha-is-text", write(lora_alpha="16"), C),
    Case("alpha-is-nan", write(lora_alpha=float("nan")), C),
    Case("alpha-is-infinite", write(lora_alpha=float("inf")), C),
    Case("alpha-pattern-is-nan", write(alpha_pattern={"q_proj": float("nan")}), C),
    Case("targets-missing", write(target_modules=...), C),
    Case("targets-null", write(target_modules=None), C),
    Case("targets-empty", write(target_modules=[]), C),
    Case("targets-are-numbers", write(target_modules=[1, 2]), C),
    Case("rank-pattern-is-a-list", write(rank_pattern=[8]), C),
    Case("rank-pattern-zero", write(rank_pattern={"q_proj": 0}), C),
    Case("rank-pattern-not-a-pattern", write(rank_pattern={"(q_proj": 8}), C),
    Case("rank-pattern-without-end", write(rank_pattern={"(a|aa)+(b|bb)+x": 8}), C),
    Case("rslora-is-text", write(use_rslora="no"), C),
)

FEATURES = (
    Case("dora", write(use_dora=True), F),
    Case("bias-all", write(bias="all"), F),
    Case("bias-null", write(bias=None), F),
    Case("lora-bias", write(lora_bias=True), F),
    Case("modules-to-save-head", write(modules_to_save=["lm_head"]), F),
    Case("modules-to-save-score", write(modules_to_save=["score"]), F),
    Case("init-pissa", write(init_lora_weights="pissa"), F),
    Case("init-olora", write(init_lora_weights="olora"), F),
    Case("activated-lora", write(alora_invocation_tokens=[1, 2]), F),
    Case("layer-replication", write(layer_replication=[[0, 2], [1, 4]]), F),
    Case("block-diagonal", write(use_bdlora={"nblocks": 2}), F),
    Case("qalora", write(use_qalora=True), F),
    Case("trainable-tokens", write(trainable_token_indices=[1, 2]), F),
    Case("target-parameters", write(target_parameters=["mlp.experts.gate_up_proj"]), F),
    Case("arrow", write(arrow_config={"top_k": 1}), F),
    Case("kasa", write(kasa_config={"beta": 1}), F),
    Case("another-method", write(peft_type="IA3"), F),
)

FILES = (
    Case("weights-missing", _missing(WEIGHTS), W),
    Case("weights-pickled", _only_pickle, W),
    Case("weights-empty-file", raw(lambda _: b""), W),
    Case("weights-are-text", raw(lambda _: b"version https://git-lfs.github.com/spec/v1\n" * 3), W),
    Case("weights-cut-in-the-header", raw(lambda good: good[:100]), W),
    Case("weights-cut-in-the-data", raw(lambda good: good[:-1]), W),
    Case("weights-with-a-tail", raw(lambda good: good + b"\x00" * 64), W),
    Case("header-longer-than-the-file", raw(lambda good: packed(good[8:], length=len(good))), W),
    Case("header-of-a-terabyte", raw(lambda good: packed(good[8:], length=2**40)), W),
    Case("header-of-2-64", raw(lambda good: packed(good[8:], length=2**64 - 1)), W),
    Case("header-of-very-many-tensors", raw(_million), W),
    Case("header-not-json", raw(lambda _: packed(b"{" * 64)), W),
    Case("header-is-a-list", raw(lambda _: packed(b"[]")), W),
    Case("header-deeply-nested", raw(lambda _: packed(b'{"a":' * 100_000)), W),
    Case("name-twice", raw(_name_twice), W),
    Case("offsets-overlap", header(_shift(f"{FIRST_V}.lora_A.weight", -4)), W),
    Case("offsets-beyond-the-data", header(_shift(f"{FIRST_V}.lora_B.weight", 2**30)), W),
    Case("offsets-backwards", header(lambda d: d[f"{FIRST_Q}.lora_A.weight"]["data_offsets"].reverse()), W),
    Case("offsets-with-a-hole", header(lambda d: d.pop(f"{FIRST_Q}.lora_A.weight")), W),
    Case("shape-is-not-the-bytes", header(lambda d: d[f"{FIRST_Q}.lora_A.weight"].update(shape=[9, 128])), W),
    Case("shape-negative", header(lambda d: d[f"{FIRST_Q}.lora_A.weight"].update(shape=[-8, -128])), W),
    Case("shape-of-terabytes-in-a-small-file", header(_huge_shapes), W),
    Case("dtype-unknown", header(lambda d: d[f"{FIRST_Q}.lora_A.weight"].update(dtype="F7")), W),
    Case("link-out-of-the-claim", _link_out, Reason.ACCESS_DENIED),
)

TENSORS = (
    Case("no-tensors", weights(dict), W),
    Case("half-missing-a", without(f"{FIRST_Q}.lora_A.weight"), W),
    Case("half-missing-b", without(f"{FIRST_Q}.lora_B.weight"), W),
    Case("dora-vector-without-its-switch", added(f"{FIRST_Q}.lora_magnitude_vector", (HIDDEN,)), W),
    Case("full-weight-beside", added(f"{FIRST_Q}.weight", (HIDDEN, HIDDEN)), W),
    Case("name-with-the-adapters-name", added(f"{FIRST_Q}.lora_A.default.weight", (8, HIDDEN)), W),
    Case("name-of-a-thousand-letters", added(f"{PREFIX}.{'x' * 1000}.lora_A.weight", (8, HIDDEN)), W),
    Case("same-module-with-and-without-prefix", added("model.layers.0.self_attn.q_proj.lora_A.weight", (8, HIDDEN)), W),
    Case("integers", weights(lambda: {n: np.ones_like(t, np.int8) for n, t in adapter_tensors().items()}), W),
    Case("vector-instead-of-a-matrix", changed(lambda t: t.update({f"{FIRST_Q}.lora_A.weight": np.ones(128)})), W),
    Case("rank-of-zero-in-tensors", weights(lambda: adapter_tensors(0)), W),
    Case("last-layer-lost", weights(lambda: adapter_tensors(layers=3)), B),
    Case(
        "layer-lost-in-the-middle",
        changed(lambda t: [t.pop(n) for n in list(t) if ".layers.2." in n]),
        W,
    ),
    Case("rank-of-another-training", weights(lambda: adapter_tensors(16)), Reason.RANK_MISMATCH),
    Case("rank-lower-than-configured", weights(lambda: adapter_tensors(4)), Reason.RANK_MISMATCH),
    Case("rank-of-a-and-b-differ", changed(_uneven_rank), Reason.RANK_MISMATCH),
    Case("rank-pattern-not-in-tensors", write(rank_pattern={"q_proj": 4}), Reason.RANK_MISMATCH),
    Case("rank-above-the-engines", weights(lambda: adapter_tensors(32), r=32), Reason.RANK_TOO_HIGH),
    Case("rank-huge", weights(lambda: adapter_tensors(1024, layers=4), r=1024), Reason.RANK_TOO_HIGH),
    Case("rank-pattern-above-the-engines", write(rank_pattern={"nowhere": 64}), Reason.RANK_TOO_HIGH),
    Case("nan", valued(np.nan), Reason.NOT_FINITE),
    Case("infinity", valued(np.inf), Reason.NOT_FINITE),
    Case("minus-infinity-in-half-precision", valued(-np.inf, np.float16), Reason.NOT_FINITE),
    Case("too-large-for-the-base", valued(1e300, np.float64), Reason.NOT_FINITE),
    Case("too-large-once-scaled", write(lora_alpha=1e42), Reason.NOT_FINITE),
)

BASES = (
    Case("wider-base", _wider("self_attn.q_proj", 256, 256), B),
    Case("narrower-base", _wider("self_attn.q_proj", 64, 64), B),
    Case("key-value-heads-of-another-base", _wider("self_attn.v_proj", HIDDEN, HIDDEN), B),
    Case("deeper-base", weights(lambda: adapter_tensors(layers=8)), B),
    Case("other-architecture", _renamed("model.layers.", "transformer.h."), B),
    Case("path-of-another-class", _renamed("base_model.model.model.layers.", "base_model.model.layers."), B),
    Case("path-of-a-vision-model", _renamed("base_model.model.model.", "base_model.model.model.language_model."), B),
    Case("tokens-added", weights(lambda: _embedding(VOCABULARY + 2), target_modules="all-linear"), B),
    Case("module-unknown", _wider("self_attn.sparse_proj", HIDDEN, HIDDEN), B),
    Case("module-unknown-beside-known", added(f"{PREFIX}.layers.0.self_attn.x_proj.lora_A.weight", (8, HIDDEN)), W),
    Case(
        "modules-half-unknown",
        weights(lambda: adapter_tensors(modules={**LINEAR, "mlp.router": (HIDDEN, 4)}), target_modules="all-linear"),
        M,
    ),
    Case(
        "fused-projections",
        weights(
            lambda: adapter_tensors(modules={**LINEAR, "self_attn.qkv_proj": (HIDDEN, 256)}),
            target_modules="all-linear",
        ),
        M,
    ),
    Case(
        "experts-of-a-mixture",
        weights(
            lambda: adapter_tensors(modules={**LINEAR, "mlp.experts.0.up_proj": (HIDDEN, 256)}),
            target_modules="all-linear",
        ),
        M,
    ),
    Case(
        "vision-tower",
        weights(
            lambda: adapter_tensors(modules={**LINEAR, "visual.up_proj": (HIDDEN, 256)}), target_modules="all-linear"
        ),
        M,
    ),
    Case("target-without-tensors", write(target_modules=["q_proj", "v_proj", "k_proj"]), M),
    Case("target-that-is-nowhere", write(target_modules=["q_proj", "v_proj", "c_attn"]), M),
)

GOOD = (
    Case("plain", write(), None),
    Case("all-linear", weights(lambda: adapter_tensors(modules=LINEAR), target_modules="all-linear"), None),
    Case("targets-by-pattern", write(target_modules=r".*\.(q|v)_proj"), None),
    Case("rank-stabilized", write(use_rslora=True), None),
    Case("rank-pattern", weights(_per_layer_ranks, rank_pattern={"q_proj": 4}), None),
    Case("alpha-pattern", write(alpha_pattern={r".*\.v_proj": 32}), None),
    Case("alpha-negative", write(lora_alpha=-16), None),
    Case(
        "some-layers",
        changed(lambda t: [t.pop(n) for n in list(t) if ".layers.2." in n], layers_to_transform=[0, 1, 3]),
        None,
    ),
    Case("half-precision", weights(lambda: adapter_tensors(dtype=np.float16)), None),
    Case("double-precision", weights(lambda: adapter_tensors(dtype=np.float64)), None),
    Case("bfloat16", _of_dtype("BF16", 2), None),
    Case("eight-bit-floats", _of_dtype("F8_E4M3", 1), None),
    Case("init-gaussian", write(init_lora_weights="gaussian"), None),
    Case("fan-in-fan-out", write(fan_in_fan_out=True), None),
    Case("without-prefix", _renamed("base_model.model.", ""), None),
    Case("embedding", weights(_embedding, target_modules=["q_proj", "v_proj", "embed_tokens"]), None),
    Case("output-head", weights(_head, target_modules=["q_proj", "v_proj", "lm_head"]), None),
    Case("other-name-of-the-base", write(base_model_name_or_path="/content/drive/model"), None),
)

FOR_THE_FINGERPRINT = (Case("all-zero", weights(_zeros), None),)
"""Well-formed, and without effect: only the loaded adapter's answers show it."""

BROKEN = (*CONFIGURATIONS, *FEATURES, *FILES, *TENSORS, *BASES)
CASES = (*BROKEN, *GOOD, *FOR_THE_FINGERPRINT)


def write_corpus(root: Path) -> Mapping[str, Path]:
    """Every adapter in a directory of its name under the root."""
    paths = {case.name: root / case.name for case in CASES}
    for case in CASES:
        paths[case.name].mkdir(parents=True)
        case.make(paths[case.name])
    return paths


if __name__ == "__main__":
    print(len(write_corpus(Path(sys.argv[1]))), "adapters")
