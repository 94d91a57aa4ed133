"""Strangers' files: whatever they hold, they are read or refused, and the answer can be sent and shown.

`tests/artifacts/test_header.py` fuzzes the header reader alone; here whole adapters are read, mutated in every part.
"""

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.artifacts.samples import ADAPTER_CONFIG
from tests.gate.corpus import CONFIG, WEIGHTS, packed
from tunefleet.api.base_model import Architecture
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import AdapterFacts, InspectionResult
from tunefleet.artifacts.adapter import read_adapter
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.header import MAX_STRUCTURE, parse_header
from tunefleet.artifacts.patterns import PatternError, compile_patterns
from tunefleet.plan.gate import verdicts

Q = "base_model.model.model.layers.0.self_attn.q_proj"
PAIR = {f"{Q}.lora_A.weight": np.ones((8, 16), np.float32), f"{Q}.lora_B.weight": np.ones((16, 8), np.float32)}
GOOD = save(PAIR)
BASE = Architecture(
    model_type="llama",
    class_name="LlamaForCausalLM",
    parameters=1,
    weight_bytes=1,
    layers=1,
    hidden_size=16,
    intermediate_size=16,
    attention_heads=1,
    kv_heads=1,
    head_dim=16,
    vocab_size=16,
    max_positions=16,
    dtype="float16",
    modules={"model.layers.*.self_attn.q_proj": (16, 16)},
)
REASONS = {Reason.CONFIG_INVALID, Reason.WEIGHTS_INVALID}

many = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["q_proj", "lora", 10**400, -1, 8, 1e999, "\ud800", "\x1b[2J", "(a+)+", ".*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from([*ADAPTER_CONFIG, "exclude_modules", "layers_to_transform", "arrow_config", "lora_bias"])
names = st.text(max_size=30) | st.builds(
    "{}.{}.{}".format,
    st.sampled_from(["base_model.model.model.layers.0", "layers.9999999999", "experts.٣", "\ud800", "", "." * 40]),
    st.text(max_size=5) | st.sampled_from(["experts.1.up", "q_proj", "9" * 30]),
    st.sampled_from(["lora_A.weight", "lora_B.weight", "lora_embedding_A", "base_layer.weight", "weight"]),
)
shapes = st.lists(st.integers(0, 4), max_size=3)


def read(directory: Path, config: bytes, weights: bytes) -> AdapterFacts | None:
    """The facts, judged and sent as they would be, or None for a refusal."""
    (directory / CONFIG).write_bytes(config)
    (directory / WEIGHTS).write_bytes(weights)
    try:
        facts = read_adapter(directory)
    except ArtifactError as error:
        require_plain(error)
        return None
    for verdict in verdicts(facts, BASE):
        assert verdict.finding is None or verdict.finding.message.isprintable()
    sent = InspectionResult(kind="adapter", adapter=facts).termination_message()
    InspectionResult.read(json.loads(sent))
    return facts


def require_plain(error: ArtifactError) -> None:
    assert error.reason in REASONS
    assert error.message.isprintable()


def configuration(**changes: Any) -> bytes:
    return json.dumps({**ADAPTER_CONFIG, "target_modules": ["q_proj"], **changes}).encode()


@given(st.dictionaries(fields, json_values, max_size=4))
@many
def test_any_configuration(tmp_path: Path, changes: dict[str, Any]) -> None:
    read(tmp_path, configuration(**changes), GOOD)


@given(st.dictionaries(st.text(max_size=20), json_values, max_size=3), st.dictionaries(fields, st.floats(), max_size=3))
@many
def test_any_patterns(tmp_path: Path, patterns: dict[str, Any], values: dict[str, float]) -> None:
    read(tmp_path, configuration(rank_pattern=patterns, alpha_pattern=values), GOOD)


@given(st.binary(max_size=200))
@many
def test_any_bytes_as_configuration(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content, GOOD) is None


@given(st.dictionaries(names, shapes, max_size=5), st.sampled_from(["F32", "BF16", "I8", "F8_E4M3", "BOOL", "F4"]))
@many
def test_any_tensors(tmp_path: Path, tensors: dict[str, list[int]], dtype: str) -> None:
    bits = {"F32": 32, "BF16": 16, "F4": 4}.get(dtype, 8)
    header: dict[str, Any] = {}
    position = 0
    for name, shape in tensors.items():
        end = position + int(np.prod(shape)) * bits // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
        position = end
    read(tmp_path, configuration(), packed(json.dumps(header).encode(), b"\xff" * position))


@given(st.data())
@many
def test_a_good_file_that_was_cut_spliced_or_changed(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 40)))
        content[start:end] = data.draw(st.binary(max_size=40))
    read(tmp_path, configuration(), bytes(content))


@given(st.text(alphabet="ab.*+?|()[]{}\\^$0,-", max_size=24))
@many
def test_a_pattern_that_is_let_through_ends(key: str) -> None:
    try:
        pattern = compile_patterns({key: 1})
    except PatternError:
        return
    for name in ("ab" * 40, "a.b." * 6 + "ab" * 20, "a" * 80):
        assert pattern.first(name, 0) == bool(re.match(rf"(.*\.)?({key})$", name))


@pytest.mark.parametrize("entry", [b'"a":[],', b'"a":{},', b"[" * 7, b'"":0,'])
def test_a_header_of_very_many_values_is_refused_before_it_is_parsed(entry: bytes) -> None:
    raw = b"{" + entry * MAX_STRUCTURE + b"}"
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError) as refused:
            parse_header("w", len(raw) + 8, raw)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert refused.value.reason == Reason.WEIGHTS_INVALID
