"""The header of a safetensors file, read as if an attacker had written it.

Format: 8 bytes little-endian length N, N bytes of JSON, then the data; https://huggingface.co/docs/safetensors.
Bounded: no more than `limit` bytes are asked for, whatever the file claims; every dtype is known; every tensor's bytes
are exactly shape x dtype; tensors lie one after another without hole or overlap and fill the file to its end.
"""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tunefleet.api.conditions import Reason

from .errors import ArtifactError

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""
FIRST_READ_BYTES = 64 * 1024
"""Holds the length and most adapters' whole header: one request instead of two."""
MAX_RANK = 8
"""Dimensions of a tensor."""
MAX_STRUCTURE = 2_000_000
"""Brackets, commas and colons of a header. Each stands for at most one value, of about 100 bytes once parsed: a header
within the limit of bytes could otherwise take gigabytes. 94 thousand tensors of one adapter have 1.2 million of them.
"""
_STRUCTURE = (b"{", b"[", b",", b":")

DTYPE_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
"""Bits of one element, as in the safetensors library 0.8."""

Read = Callable[[int, int], Awaitable[bytes]]
"""`await read(start, length)` gives these bytes of the file, fewer at its end."""


@dataclass(frozen=True)
class Tensor:
    """One entry of a header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte in the file."""
    end: int
    """Byte after the last in the file."""

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


async def read_header(name: str, size: int, read: Read, *, limit: int = MAX_HEADER_BYTES) -> tuple[Tensor, ...]:
    """The tensors of a file of `size` bytes, in the order of their data. Raises ArtifactError(WeightsInvalid)."""
    first = await read(0, min(size, FIRST_READ_BYTES))
    length = header_length(name, size, first, limit)
    end = LENGTH_BYTES + length
    raw = first[LENGTH_BYTES:end]
    if len(raw) < length:
        raw += await read(LENGTH_BYTES + len(raw), length - len(raw))
    return parse_header(name, size, raw)


def parse_header(name: str, size: int, raw: bytes) -> tuple[Tensor, ...]:
    """The tensors that a header's JSON describes. `size` is the whole file's. Raises ArtifactError(WeightsInvalid)."""
    document = _document(name, raw)
    start = LENGTH_BYTES + len(raw)
    entries = [_tensor(name, key, value, start) for key, value in document.items() if key != "__metadata__"]
    tensors = tuple(sorted(entries, key=lambda tensor: (tensor.start, tensor.end)))
    position = start
    for tensor in tensors:
        if tensor.start != position:
            raise _invalid(name, f"tensor {_short(tensor.name)} overlaps another one or leaves a hole")
        position = tensor.end
    if position != size:
        raise _invalid(
            name, f"its header describes {position} bytes and the file has {size}; it was cut or not finished"
        )
    return tensors


def header_length(name: str, size: int, first: bytes, limit: int = MAX_HEADER_BYTES) -> int:
    """The length of a header from a file's first bytes. Raises ArtifactError(WeightsInvalid) when it cannot be."""
    if len(first) < LENGTH_BYTES:
        raise _invalid(name, f"it has {size} bytes, too few for a safetensors file")
    length = int.from_bytes(first[:LENGTH_BYTES], "little")
    if length > limit:
        raise _invalid(name, f"its header claims {length} bytes, more than {limit}; it is not a safetensors file")
    if LENGTH_BYTES + length > size:
        raise _invalid(name, "its header is longer than the file; it was cut or is not a safetensors file")
    return length


def _document(name: str, raw: bytes) -> dict[str, Any]:
    if raw[:1] != b"{":
        raise _invalid(name, "its header does not begin with '{', as that of a safetensors file does")
    if sum(map(raw.count, _STRUCTURE)) > MAX_STRUCTURE:
        raise _invalid(name, "its header describes more tensors than any model has")
    try:
        document = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _invalid(name, "its header is not the JSON of a safetensors file") from error
    if not isinstance(document, dict):
        raise _invalid(name, "its header is not a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice")
    return document


def _tensor(file: str, name: str, value: object, data_start: int) -> Tensor:
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [start, end]} if (
            dtype in DTYPE_BITS and len(shape) <= MAX_RANK and all(map(_is_size, [*shape, start, end]))
        ):
            bits = math.prod(shape) * DTYPE_BITS[dtype]
            if bits != (end - start) * 8:
                raise _invalid(file, f"tensor {_short(name)} has {end - start} bytes, which is not its shape and dtype")
            return Tensor(name, dtype, tuple(shape), data_start + start, data_start + end)
    raise _invalid(file, f"tensor {_short(name)} has an unknown dtype, or a broken shape or offsets")


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _short(name: str) -> str:
    return repr(name if len(name) <= 100 else f"{name[:100]}…")


def _invalid(name: str, detail: str) -> ArtifactError:
    return ArtifactError(Reason.WEIGHTS_INVALID, f"{name} cannot be served: {detail}; save it again as safetensors.")
