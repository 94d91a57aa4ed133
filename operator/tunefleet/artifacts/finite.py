"""The largest magnitude in a tensor on the disk, and whether all of it is finite, in bounded memory.

In every IEEE-like format the magnitude bits, read as an unsigned integer, grow with the magnitude, and infinity and NaN
are the largest of all. So one integer maximum answers both questions without turning the values into floats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .header import Tensor

READ_BYTES = 4 * 2**20


@dataclass(frozen=True)
class FloatFormat:
    """How to read the magnitude out of an element."""

    unsigned: np.dtype[np.unsignedinteger]
    magnitude: int
    """Mask of all bits but the sign."""
    first_non_finite: int
    """Magnitudes from here on are infinity or NaN."""
    value: Callable[[int], float]
    """The finite value that magnitude bits stand for."""


def _ieee(bits: int, exponent: int) -> FloatFormat:
    """A format with infinities: the highest exponent is not finite."""
    mantissa = bits - 1 - exponent
    first_non_finite = ((1 << exponent) - 1) << mantissa
    return FloatFormat(
        np.dtype(f"<u{bits // 8}"), (1 << (bits - 1)) - 1, first_non_finite, lambda m: _decode(m, exponent, mantissa)
    )


def _decode(magnitude: int, exponent_bits: int, mantissa_bits: int) -> float:
    """IEEE 754 decoding of a magnitude: (exponent, mantissa) with subnormals."""
    exponent, mantissa = magnitude >> mantissa_bits, magnitude & ((1 << mantissa_bits) - 1)
    bias = (1 << (exponent_bits - 1)) - 1
    if exponent == 0:
        return math.ldexp(mantissa, 1 - bias - mantissa_bits)
    return math.ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)


FLOAT_FORMATS = {
    "F64": _ieee(64, 11),
    "F32": _ieee(32, 8),
    "F16": _ieee(16, 5),
    "BF16": _ieee(16, 8),
    "F8_E5M2": _ieee(8, 5),
    # E4M3 as in OCP 8-bit floating point: no infinities, one NaN magnitude
    "F8_E4M3": FloatFormat(np.dtype("u1"), 0x7F, 0x7F, lambda m: _decode(m, 4, 3)),
}
"""Formats in which adapters are accepted."""


def largest_magnitude(path: Path, tensor: Tensor) -> float:
    """The largest magnitude of a tensor's elements; infinity when one is infinite or NaN; 0 when it is empty.

    Raises KeyError for a dtype that is not in FLOAT_FORMATS.
    """
    layout = FLOAT_FORMATS[tensor.dtype]
    largest = 0
    with path.open("rb") as stream:
        stream.seek(tensor.start)
        remaining = tensor.end - tensor.start
        while remaining:
            chunk = stream.read(min(remaining, READ_BYTES))
            if not chunk:
                raise OSError(f"{path.name} ended early")
            remaining -= len(chunk)
            magnitudes = np.frombuffer(chunk, layout.unsigned) & layout.unsigned.type(layout.magnitude)
            largest = max(largest, int(magnitudes.max()))
    return math.inf if largest >= layout.first_non_finite else layout.value(largest)
