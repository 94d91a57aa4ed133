"""The point of a prompt's beginning: requests that begin alike go to the pod whose cache holds that beginning.

The body is not decoded. A key of JSON that is not at the top, or other fields behind a short prompt, give another point
than they might: the request then meets a pod without its prefix, and that is all.
"""

from zlib import crc32

PREFIX_BYTES = 1024
"""Of JSON, from the field's name on: about 15 blocks of vLLM's prefix cache (16 tokens each) in English."""
NEAR_BYTES = 4096
FAR_BYTES = 262_144
"""How far the field is looked for, at first and at last."""

_FIELDS = (b'"messages"', b'"prompt"', b'"input"', b'"system"')


def point_of_prefix(body: bytes, engine_name: str) -> int:
    """32 bits of the engine name and of the prompt's beginning, the same in every process.

    Of a body without a prompt: of the body's beginning.
    """
    at = _find(body, NEAR_BYTES)
    if at < 0 and len(body) > NEAR_BYTES:
        at = _find(body, FAR_BYTES)
    start = max(at, 0)
    return crc32(body[start : start + PREFIX_BYTES], crc32(engine_name.encode()))


def _find(body: bytes, end: int) -> int:
    for field in _FIELDS:
        at = body.find(field, 0, end)
        if at >= 0:
            return at
    return -1
