"""Magnitudes read as integers agree with the floats themselves, in every format."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunefleet.artifacts.finite import FLOAT_FORMATS, READ_BYTES, largest_magnitude
from tunefleet.artifacts.header import Tensor


def magnitude(directory: Path, dtype: str, raw: bytes) -> float:
    path = directory / "x"
    path.write_bytes(b"pad" + raw)
    return largest_magnitude(path, Tensor("x", dtype, (), 3, 3 + len(raw)))


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_float32(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    raw = np.array(values, np.float32).tobytes()
    expected = max(abs(v) for v in values) if all(map(math.isfinite, values)) else math.inf
    assert magnitude(tmp_path_factory.getbasetemp(), "F32", raw) == expected


@pytest.mark.parametrize(("dtype", "code"), [("F64", "d"), ("F16", "e")])
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.5, 6.0e-8, 65504.0])
def test_half_and_double(tmp_path: Path, dtype: str, code: str, value: float) -> None:
    raw = struct.pack(f"<{code}{code}", value, 0.0)
    assert magnitude(tmp_path, dtype, raw) == abs(struct.unpack(f"<{code}{code}", raw)[0])


@pytest.mark.parametrize(
    ("bits", "value"),
    [(0x3F80, 1.0), (0xC000, 2.0), (0x7F7F, 3.3895313892515355e38), (0x7F80, math.inf), (0xFFC1, math.inf)],
)
def test_bfloat16(tmp_path: Path, bits: int, value: float) -> None:
    assert magnitude(tmp_path, "BF16", struct.pack("<HH", 0, bits)) == value


@pytest.mark.parametrize(
    ("dtype", "bits", "value"),
    [
        ("F8_E4M3", 0x38, 1.0),
        ("F8_E4M3", 0x7E, 448.0),
        ("F8_E4M3", 0x01, 2.0**-9),
        ("F8_E4M3", 0x7F, math.inf),
        ("F8_E4M3", 0xFF, math.inf),
        ("F8_E5M2", 0x3C, 1.0),
        ("F8_E5M2", 0x7B, 57344.0),
        ("F8_E5M2", 0x7C, math.inf),
        ("F8_E5M2", 0xFE, math.inf),
    ],
)
def test_eight_bit_floats(tmp_path: Path, dtype: str, bits: int, value: float) -> None:
    assert magnitude(tmp_path, dtype, bytes([0, bits])) == value


@pytest.mark.parametrize("dtype", FLOAT_FORMATS)
def test_an_empty_tensor_and_one_of_zeros(tmp_path: Path, dtype: str) -> None:
    assert magnitude(tmp_path, dtype, b"") == 0
    assert magnitude(tmp_path, dtype, bytes(64)) == 0


def test_the_last_element_of_a_tensor_larger_than_one_read(tmp_path: Path) -> None:
    values = np.zeros(READ_BYTES // 4 + 10, np.float32)
    values[-1] = np.nan
    assert magnitude(tmp_path, "F32", values.tobytes()) == math.inf
