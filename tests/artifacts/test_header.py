"""The header reader against files that lie."""

import asyncio
import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save, save_file

from tunefleet.api.conditions import Reason
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.header import FIRST_READ_BYTES, Tensor, parse_header, read_header


class Bytes:
    """A file in memory that remembers the largest piece that was asked for."""

    def __init__(self, content: bytes, size: int | None = None) -> None:
        self.content = content
        self.size = len(content) if size is None else size
        self.asked = 0

    async def read(self, start: int, length: int) -> bytes:
        self.asked += length
        return self.content[start : start + length]


def tensors_of(content: bytes, limit: int = 10_000) -> tuple[Tensor, ...]:
    return asyncio.run(read_header("w", len(content), Bytes(content).read, limit=limit))


def refused(content: bytes, limit: int = 10_000) -> str:
    with pytest.raises(ArtifactError) as error:
        tensors_of(content, limit)
    assert error.value.reason == Reason.WEIGHTS_INVALID
    return error.value.message


def file_of(header: Any, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(start: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


def test_a_file_of_the_library_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float16)}, path, {"note": "x"})
    content = path.read_bytes()
    found = {tensor.name: tensor for tensor in tensors_of(content)}
    assert found.keys() == load_file(path).keys()
    assert found["a"].shape == (2, 3)
    assert np.frombuffer(content[found["a"].start : found["a"].end], np.float32).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_header_larger_than_the_first_read(tmp_path: Path) -> None:
    content = save({f"tensor.{i:0100d}": np.zeros(1, np.int8) for i in range(1000)})
    assert len(tensors_of(content, limit=10**7)) == 1000
    assert len(content) > FIRST_READ_BYTES


@pytest.mark.parametrize("content", [b"", b"x", b"1234567", struct.pack("<Q", 0)])
def test_files_that_are_too_short(content: bytes) -> None:
    refused(content)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10_001, 101])
def test_lengths_that_the_file_or_the_limit_does_not_have(length: int) -> None:
    content = Bytes(struct.pack("<Q", length) + b"{" * 100)
    with pytest.raises(ArtifactError):
        asyncio.run(read_header("w", content.size, content.read, limit=10_000))
    assert content.asked <= FIRST_READ_BYTES


def test_no_more_than_the_limit_is_asked_for_of_a_file_that_claims_to_be_huge() -> None:
    content = Bytes(struct.pack("<Q", 2**30) + b"{" * 100, size=2**40)
    with pytest.raises(ArtifactError):
        asyncio.run(read_header("w", content.size, content.read, limit=10_000))
    assert content.asked <= FIRST_READ_BYTES


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"  {}",
        b"{",
        b"\xff{}",
        b'{"a":1}',
        b'{"a":null}',
        b'{"a":' + b"[" * 5000,
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    ],
)
def test_headers_that_are_not_a_tensors_description(header: bytes) -> None:
    refused(file_of(header))


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(0, 3, [4])},
        {"a": entry(0, 4, [2], "F16") | {"dtype": "F128"}},
        {"a": entry(0, 4, [-4])},
        {"a": entry(0, 4, [True, 4])},
        {"a": entry(0, 4, [4.0])},  # type: ignore[list-item]
        {"a": entry(0, 4) | {"data_offsets": [4, 0]}},
        {"a": entry(0, 4) | {"data_offsets": [0]}},
        {"a": entry(0, 4, [2**62, 2**62])},
        {"a": entry(0, 4, [1] * 9 + [4])},
        {"a": entry(0, 4) | {"dtype": ["U8"]}},
    ],
)
def test_shapes_dtypes_and_offsets_that_contradict_each_other(header: Any) -> None:
    assert "tensor 'a'" in refused(file_of(header, b"1234"))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"a": entry(0, 4), "b": entry(2, 6)}, "overlaps"),
        ({"a": entry(0, 4), "b": entry(0, 4)}, "overlaps"),
        ({"a": entry(0, 2), "b": entry(4, 6)}, "hole"),
        ({"a": entry(2, 6)}, "hole"),
        ({"a": entry(0, 4)}, "cut or not finished"),
        ({"a": entry(0, 60)}, "cut or not finished"),
        ({}, "cut or not finished"),
    ],
)
def test_tensors_that_do_not_fill_the_file(header: Any, words: str) -> None:
    assert words in refused(file_of(header, b"123456"))


def test_long_names_are_not_repeated_in_full() -> None:
    assert len(refused(file_of({"x" * 5000: entry(0, 3, [4])}, b"123"))) < 400


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(ArtifactError):  # and nothing else
        tensors_of(content)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["F32", "U8", "F4"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F16", "F4", "NOPE"]) | _JSON,
        "shape": st.lists(st.integers(-1, 9), max_size=4) | _JSON,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=1, max_size=3) | _JSON,
    }
)


@given(st.dictionaries(st.text(max_size=6), _ENTRY | _JSON, max_size=4), st.integers(0, 64))
@settings(max_examples=150, deadline=None)
def test_any_header_describes_its_file_exactly_or_is_refused(header: dict[str, Any], data: int) -> None:
    raw = json.dumps(header).encode()
    size = 8 + len(raw) + data
    try:
        tensors = parse_header("w", size, raw)
    except ArtifactError:
        return
    assert sum(tensor.end - tensor.start for tensor in tensors) == data
    assert all(8 + len(raw) <= tensor.start <= tensor.end <= size for tensor in tensors)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_file_with_one_changed_byte_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(save({"a.lora_A.weight": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)}))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ArtifactError):
        tensors_of(bytes(content))
